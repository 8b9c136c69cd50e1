//! Tests of the merge, with pages in memory.

use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::item::key::shard_of;

/// Shards in memory, read page by page as in a database: rows of one time in any order, pages of any size, some empty.
#[derive(Debug, Clone)]
struct Database {
    shards: Vec<(u32, Vec<Row>)>,
    /// The most rows of each page to come, the last of the list first. A page of 0 rows is not the end.
    page_rows: Vec<usize>,
}

impl Database {
    fn read(&mut self, read: &Read, newest_first: bool) -> (Vec<Row>, Option<Item>) {
        if let Range { from: Some(from), until: Some(until), .. } = &read.range {
            assert!(from <= until, "DynamoDB refuses a range that ends before it begins");
        }
        let mut rows = self.shards[read.nth].1.clone();
        let within = |row: &Row| {
            let Range { from, until, .. } = &read.range;
            from.as_ref().is_none_or(|from| row.update_time >= *from)
                && until.as_ref().is_none_or(|until| row.update_time <= *until)
        };
        rows.retain(within);
        rows.sort_by(|a, b| a.update_time.cmp(&b.update_time));
        if newest_first {
            rows.reverse();
        }
        let begin = read.start.as_ref().map_or(0, |start| start["at"].as_n().unwrap().parse().unwrap());
        let most = self.page_rows.pop().unwrap_or(usize::MAX).min(read.rows.try_into().unwrap());
        let end = rows.len().min(begin + most);
        let next = Item::from([("at".to_owned(), AttributeValue::N(end.to_string()))]);
        (rows[begin..end].to_vec(), (end < rows.len()).then_some(next))
    }
}

/// Reads a plan to its end. Returns its rows, the number of requests, and the number of rows that the requests read.
fn read(plan: Plan, mut database: Database) -> (Vec<Row>, usize, usize) {
    let newest_first = plan.newest_first;
    let mut merge = Merge::new(plan);
    let (mut all, mut requests, mut rows_read) = (Vec::new(), 0, 0);
    loop {
        match merge.next() {
            Next::End => return (all, requests, rows_read),
            Next::Row(row) => all.push(row),
            Next::Read(reads) => {
                for read in reads {
                    let (rows, next) = database.read(&read, newest_first);
                    requests += 1;
                    rows_read += rows.len();
                    merge.take_in(read.nth, rows, next);
                }
            }
        }
    }
}

fn run(plan: Plan, database: Database) -> Vec<Row> {
    read(plan, database).0
}

/// Returns what the merge must return: all rows sorted, and then cut.
fn model(plan: &Plan, database: &Database) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for ((code, range), (_, shard)) in plan.ranges.iter().zip(&database.shards) {
        rows.extend(shard.iter().map(|row| Row { code: *code, value: range.value.clone(), ..row.clone() }));
    }
    rows.sort_by(|a, b| (&a.update_time, &a.key).cmp(&(&b.update_time, &b.key)));
    if plan.newest_first {
        rows.reverse();
    }
    if let Some(after) = &plan.after {
        let place = (&after.update_time, &after.key);
        let is_after = |row: &Row| {
            let order = (&row.update_time, &row.key).cmp(&place);
            order == if plan.newest_first { Ordering::Less } else { Ordering::Greater }
        };
        rows.retain(is_after);
    }
    let mut of_status: HashMap<u32, usize> = HashMap::new();
    rows.retain(|row| {
        let count = of_status.entry(row.code).or_default();
        *count += 1;
        plan.limit_per_status.is_none_or(|limit| *count <= limit)
    });
    rows.truncate(plan.limit.unwrap_or(usize::MAX));
    rows
}

fn databases() -> impl Strategy<Value = (Plan, Database)> {
    // Few different times, so that many rows have the same time.
    let shard = (0..3_u32, prop::collection::vec(0..8_u32, 0..60));
    let limit = || prop::option::of(1..40_usize);
    let shards = prop::collection::vec(shard, 1..6);
    let pages = prop::collection::vec(0..20_usize, 0..40);
    let after = prop::option::of((0..8_u32, 0..300_u32));
    (shards, pages, limit(), limit(), any::<bool>(), after).prop_map(
        |(shards, page_rows, limit, limit_per_status, newest_first, after)| {
            let time = |nth: u32| format!("time {nth}");
            let key = |nth: u32| format!("key {nth:03}");
            let mut keys = 0..;
            let shards: Vec<(u32, Vec<Row>)> = shards
                .into_iter()
                .map(|(code, times)| {
                    // The order of the keys is independent of the times.
                    let row = |at| Row {
                        update_time: time(at),
                        key: key(keys.next().unwrap_or(0) * 7 % 311),
                        ..Row::default()
                    };
                    (code, times.into_iter().map(row).collect())
                })
                .collect();
            let range = |(nth, (code, _)): (usize, &(u32, Vec<Row>))| {
                (*code, Range { value: format!("shard {nth}"), ..Range::default() })
            };
            let plan = Plan {
                ranges: shards.iter().enumerate().map(range).collect(),
                newest_first,
                limit,
                limit_per_status,
                hint: None,
                uncounted: None,
                after: after.map(|(at, nth)| Position { update_time: time(at), key: key(nth) }),
            };
            (plan, Database { shards, page_rows })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn merge_returns_all_rows_in_order((plan, database) in databases()) {
        let expected = model(&plan, &database);
        prop_assert_eq!(run(plan, database), expected);
    }

    #[test]
    fn pages_together_return_all_rows((plan, database) in databases(), size in 1..10_usize) {
        let plan = Plan { limit_per_status: None, after: None, ..plan };
        let whole = run(Plan { limit: None, ..plan.clone() }, database.clone());
        let mut pages: Vec<Row> = Vec::new();
        loop {
            let after = pages.last().map(Row::position);
            let page = run(Plan { limit: Some(size), after, ..plan.clone() }, database.clone());
            pages.extend(page.iter().cloned());
            if page.len() < size {
                break;
            }
        }
        prop_assert_eq!(pages, whole);
    }
}

#[test]
fn many_rows_of_one_time_take_few_pages() {
    let row = |nth: usize| Row { key: format!("{nth:05}"), update_time: "t".to_owned(), ..Row::default() };
    let database = Database { shards: vec![(1, (0..2000).map(row).collect())], page_rows: Vec::new() };
    let (rows, requests, _) = read(plan(1, 10), database);
    assert_eq!(rows.len(), 10);
    assert!(requests < 12, "{requests}");
}

fn plan(shards: usize, limit: usize) -> Plan {
    let range = |nth| (1, Range { value: format!("shard {nth}"), ..Range::default() });
    Plan { ranges: (0..shards).map(range).collect(), limit: Some(limit), ..Plan::default() }
}

#[test]
fn merge_reads_little_more_than_its_limit() {
    let row = |shard: usize, nth: usize| Row {
        update_time: format!("{:05}", nth * 10 + shard),
        key: format!("{shard}-{nth}"),
        ..Row::default()
    };
    let shards = (0..10).map(|shard| (1, (0..1000).map(|nth| row(shard, nth)).collect())).collect();
    let (rows, requests, rows_read) = read(plan(10, 100), Database { shards, page_rows: Vec::new() });
    assert_eq!((rows.len(), requests, rows_read), (100, 10, 220));
}

#[test]
fn merge_reads_each_hashed_shard_once() {
    for (shards, limit) in [(1, 100), (5, 100), (5, 1000), (10, 100), (50, 1000)] {
        let mut filled = vec![(1, Vec::new()); shards];
        for nth in 0..4 * limit {
            let key = format!("extract____doc-{nth}");
            let shard = shard_of(&key, u32::try_from(shards).unwrap());
            let row = Row { update_time: format!("{nth:05}"), key, ..Row::default() };
            filled[shard as usize - 1].1.push(row);
        }
        let (rows, requests, rows_read) =
            read(plan(shards, limit), Database { shards: filled, page_rows: Vec::new() });
        assert_eq!((rows.len(), requests), (limit, shards));
        assert!(rows_read <= 5 * limit / 2, "{rows_read} rows read for {limit} of {shards} shards");
    }
}
