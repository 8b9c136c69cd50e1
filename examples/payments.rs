//! Payments move money between accounts exactly once, while the workers that make them are killed.
//!
//! It teaches `on_success`: the debit, the credit and the status of a payment are one transaction. A worker that is killed in the
//! middle has moved nothing, or everything. It runs on the embedded database, which needs no set-up:
//!
//! ```text
//! cargo run --example payments
//! cargo run --example payments -- --payments 1000 --workers 8 --kills 40 --seed 7
//! tests/dynamodb-local sh -c 'cargo run --example payments -- --endpoint-url $TRACKER_DYNAMODB_ENDPOINT'
//! ```
//!
//! A killed worker loses its network and its runtime at once, so that nothing that it has begun reaches the database any more.
//! At the end the example adds up all balances: the sum must be what it was.

mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::error::BuildError;
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TransactWriteItem, Update,
};
use tracker_core::testing::{Fault, FaultyNetwork, Rates};
use tracker_core::{Error, Execution, Failure, StatusTracker, Summary, Tracker, TrackerStatus};

use common::{AnyError, Database};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum PaymentStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

// Short leases, so that the payments of a killed worker go on soon. By default a lease lasts five minutes.
#[derive(StatusTracker, Debug, Clone)]
#[tracker(use_case_id = "payments", status = PaymentStatus, table = "payments", max_retry = 8)]
#[tracker(lock_expire_seconds = 1, backoff = "none")]
struct Payment {
    #[tracker(task_id)]
    id: String,
    from: String,
    to: String,
    amount: i64,
}

/// Returns a tracker of the payments.
fn payments(client: &Client) -> Result<Tracker<Payment>, Error> {
    // All workers here have the same clock.
    Payment::tracker_builder(client).max_clock_skew(Duration::from_millis(200)).build()
}

/// What each account has at the beginning.
const BALANCE: i64 = 100;
/// The table of the accounts, which no tracker knows.
const ACCOUNTS: &str = "accounts";

/// Makes payments with workers that are killed, and checks that all balances add up to what they were.
#[derive(Parser)]
#[command(
    name = "payments",
    version,
    after_help = "Exit status: 0 the sum is right, 1 the sum is wrong or an error, 2 wrong arguments, 130 stopped."
)]
struct Arguments {
    /// How many payments to make
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    payments: u32,
    /// How many accounts there are
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    accounts: u32,
    /// How many workers run at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// How many workers are killed at most, each in the middle of its payments
    #[arg(long, value_name = "N", default_value_t = 12)]
    kills: u32,
    /// The seed of the payments and of the kills
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    database: Database,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return common::print_usage(&error),
    };
    let stopped = common::stop_signal();
    let result = tokio::select! {
        result = run(&arguments) => result,
        _ = stopped => {
            println!("stopped: the payments that are left go on if you run the example again on a database that is kept");
            return ExitCode::from(130);
        }
    };
    common::exit_code(result.map(|is_right| if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

async fn run(arguments: &Arguments) -> Result<bool, AnyError> {
    let client = arguments.database.client().await?;
    let payments = payments(&client)?;
    payments.create_table().await?;
    let accounts = open_accounts(&client, arguments.accounts).await?;
    let mut random = fastrand::Rng::with_seed(arguments.seed);
    for nth in 0..arguments.payments {
        let (from, to) = pick_two(&mut random, &accounts);
        let amount = random.i64(1..=BALANCE / 4);
        // A payment of an earlier run on the same database stays as it is.
        payments.ensure(Payment { id: format!("payment-{nth:05}"), from, to, amount }).await?;
    }
    // All payments that a worker can find, also those of an earlier run.
    let open: Vec<_> = payments.query_for_unfinished().all().await?;
    let open: Vec<_> = open.into_iter().map(|entry| entry.task_id().clone()).collect();
    let before = balances(&client).await?;
    let mut expected = before.clone();

    let killed = make_payments(arguments, &client, &mut random).await?;

    let (mut succeeded, mut ignored, mut lost) = (0, 0, 0);
    for id in &open {
        let payment = payments.get(id).consistent().await?.ok_or_else(|| format!("{id} is missing"))?;
        lost += payment.errors().iter().filter(|entry| entry.error.contains("the lease expired")).count();
        ignored += usize::from(payment.is_ignored());
        if payment.is_succeeded() {
            succeeded += 1;
            let Payment { from, to, amount, .. } = payment.into_data();
            // A payment that is made twice leaves the sum as it is, so each account is compared as well.
            *expected.entry(to).or_default() += amount;
            *expected.entry(from).or_default() -= amount;
        }
    }
    let after = balances(&client).await?;
    println!(
        "{} payments by {} workers at a time; {killed} were killed, and others took their places",
        open.len(),
        arguments.workers
    );
    println!(
        "{succeeded} succeeded, {ignored} were given up, mostly for lack of money; {lost} attempts were lost with their workers"
    );
    for (account, balance) in after.iter().take(10) {
        println!("  {account}  {balance:>6}");
    }
    if after.len() > 10 {
        println!("  and {} more accounts", after.len() - 10);
    }
    for (account, balance) in after.iter().filter(|(account, balance)| expected[*account] != **balance) {
        println!("wrong: {account} has {balance}, and the payments make it {}", expected[account]);
    }
    let ended = succeeded + ignored == open.len();
    if !ended {
        println!("not all payments have ended");
    }
    let sum = |balances: &BTreeMap<String, i64>| balances.values().sum::<i64>();
    println!("sum of all balances: {}, and before: {}", sum(&after), sum(&before));
    Ok(ended && after == expected && sum(&after) == sum(&before))
}

/// Runs the workers, and kills some of them, until all payments have ended. Returns how many were killed.
async fn make_payments(
    arguments: &Arguments,
    client: &Client,
    random: &mut fastrand::Rng,
) -> Result<u32, AnyError> {
    let bar = ProgressBar::new(arguments.kills.into())
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} workers killed, {elapsed}")?);
    let mut lives = Vec::new();
    for _ in 0..arguments.workers {
        lives.push(Life::begin(client)?);
    }
    let mut killed = 0;
    // A worker that ends by itself has found that all payments have ended.
    while killed < arguments.kills && lives.iter().all(|life| !life.work.is_finished()) {
        tokio::time::sleep(Duration::from_millis(random.u64(20..150))).await;
        let nth = random.usize(0..lives.len());
        std::mem::replace(&mut lives[nth], Life::begin(client)?).kill();
        killed += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    for mut life in lives {
        (&mut life.work).await??;
    }
    Ok(killed)
}

/// A worker with a network and a runtime of its own, as a process has.
struct Life {
    network: FaultyNetwork,
    /// Taken when the life ends: a runtime must not be dropped where others run.
    runtime: Option<Runtime>,
    work: tokio::task::JoinHandle<Result<Summary, Error>>,
}

impl Life {
    fn begin(client: &Client) -> Result<Self, AnyError> {
        let (client, network) = FaultyNetwork::around(client)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let payments = payments(&client)?;
        let work = runtime
            .spawn(async move { payments.worker().concurrency(4).drain().until_all_ended().run(pay).await });
        Ok(Self { network, runtime: Some(runtime), work })
    }

    /// Ends everything at once. What is on its way may arrive or not; nothing follows.
    fn kill(self) {
        self.network.seed(0, Rates::none().with(Fault::DropRequest, 1.0));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Makes one payment: collects both sides, which are written with the success.
async fn pay(task: &mut Execution<Payment>) -> Result<(), Failure> {
    let Payment { from, to, amount, .. } = task.data().clone();
    // What a real payment does here: it checks a limit, or asks another service.
    tokio::time::sleep(Duration::from_millis(10)).await;
    task.on_success(debit(&from, amount)?)?;
    task.on_success(credit(&to, amount)?)?;
    Ok(())
}

fn debit(account: &str, amount: i64) -> Result<TransactWriteItem, BuildError> {
    let update = Update::builder()
        .table_name(ACCOUNTS)
        .key("id", AttributeValue::S(account.to_owned()))
        .update_expression("SET balance = balance - :amount")
        // Without enough money the payment fails, and is tried again later.
        .condition_expression("balance >= :amount")
        .expression_attribute_values(":amount", AttributeValue::N(amount.to_string()));
    Ok(TransactWriteItem::builder().update(update.build()?).build())
}

fn credit(account: &str, amount: i64) -> Result<TransactWriteItem, BuildError> {
    let update = Update::builder()
        .table_name(ACCOUNTS)
        .key("id", AttributeValue::S(account.to_owned()))
        .update_expression("SET balance = balance + :amount")
        .condition_expression("attribute_exists(id)")
        .expression_attribute_values(":amount", AttributeValue::N(amount.to_string()));
    Ok(TransactWriteItem::builder().update(update.build()?).build())
}

/// Draws two different accounts.
fn pick_two(random: &mut fastrand::Rng, accounts: &[String]) -> (String, String) {
    let from = random.usize(0..accounts.len());
    let to = (from + random.usize(1..accounts.len())) % accounts.len();
    (accounts[from].clone(), accounts[to].clone())
}

/// Creates the table of the accounts and the accounts, unless they exist. Returns their ids.
async fn open_accounts(client: &Client, count: u32) -> Result<Vec<String>, AnyError> {
    if client.describe_table().table_name(ACCOUNTS).send().await.is_err() {
        let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
        client
            .create_table()
            .table_name(ACCOUNTS)
            .attribute_definitions(id.build()?)
            .key_schema(key.build()?)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await?;
    }
    let accounts: Vec<_> = (0..count).map(|nth| format!("account-{nth:04}")).collect();
    for account in &accounts {
        client
            .update_item()
            .table_name(ACCOUNTS)
            .key("id", AttributeValue::S(account.clone()))
            .update_expression("SET balance = if_not_exists(balance, :balance)")
            .expression_attribute_values(":balance", AttributeValue::N(BALANCE.to_string()))
            .send()
            .await?;
    }
    Ok(accounts)
}

/// Returns the balances of all accounts.
async fn balances(client: &Client) -> Result<BTreeMap<String, i64>, AnyError> {
    let scan = client.scan().table_name(ACCOUNTS).consistent_read(true);
    let mut items = scan.into_paginator().items().send();
    let mut balances = BTreeMap::new();
    while let Some(item) = items.next().await {
        let item = item?;
        let (Some(AttributeValue::S(id)), Some(AttributeValue::N(balance))) =
            (item.get("id"), item.get("balance"))
        else {
            return Err(format!("an account has no id or no balance: {item:?}").into());
        };
        balances.insert(id.clone(), balance.parse()?);
    }
    Ok(balances)
}
