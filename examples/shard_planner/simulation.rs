//! Partitions of an index as buckets of tokens, and the tasks that move through them.

// Counts of tasks in a tenth of a second: far below where an `f64` rounds them.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

use fastrand::Rng;

use super::chance::{binomial, multinomial, poisson};

pub const STATUSES: [&str; 5] = ["pending", "in_progress", "failed", "succeeded", "ignored"];

const PENDING: usize = 0;
const IN_PROGRESS: usize = 1;
const FAILED: usize = 2;
const SUCCEEDED: usize = 3;
const IGNORED: usize = 4;

/// What a partition of the index takes: an item's projection is below 1 KB, so that each write is one unit.
pub const WRITES_PER_SECOND: u32 = 1000;
const STEPS_PER_SECOND: u32 = 10;

/// By status, in the order of `STATUSES`.
pub type Shards = [u32; 5];

/// What comes, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Tasks that are created a second.
    pub rate: f64,
    /// The part of the attempts that fails.
    pub failing: f64,
    /// How many attempts a task has.
    pub max_retry: u32,
    /// How long a body works.
    pub work_seconds: f64,
    /// How long a failed task waits.
    pub retry_seconds: f64,
}

impl Load {
    /// How many attempts a task takes.
    pub fn attempts(&self) -> f64 {
        (0..self.max_retry).map(|failed| self.failing.powf(failed.into())).sum()
    }

    /// The part of the tasks that is given up.
    pub fn given_up(&self) -> f64 {
        self.failing.powf(self.max_retry.into())
    }

    /// Writes a second in the partitions of each status: a put for a task that comes, a delete for one that goes.
    pub fn writes(&self) -> [f64; 5] {
        let attempts = self.attempts();
        [2.0, 2.0 * attempts, 2.0 * (attempts - 1.0), 1.0 - self.given_up(), self.given_up()]
            .map(|writes| self.rate * writes)
    }
}

/// How it is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// For how long a partition saves up what is not used.
    pub burst_seconds: u32,
    /// How long each of the two parts lasts: that which begins with all saved up, and that which begins with nothing.
    pub seconds: u32,
    pub seed: u64,
}

/// What was seen. Shares are parts of all moves.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Throttled in the time that begins with all saved up.
    pub at_first: f64,
    /// After how many seconds something was throttled then.
    pub lasts: Option<f64>,
    /// Throttled in the time that begins with nothing saved up.
    pub after: f64,
    /// The status whose partitions lacked most.
    pub narrowest: Option<&'static str>,
}

/// Lets tasks come for twice `setup.seconds`.
pub fn simulate(load: Load, shards: Shards, setup: Setup) -> Outcome {
    let mut index = Index::new(load, shards, setup);
    let steps = setup.seconds * STEPS_PER_SECOND;
    let mut lasts = None;
    for step in 0..steps {
        index.step();
        if lasts.is_none() && index.throttled > 0 {
            lasts = Some(f64::from(step) / f64::from(STEPS_PER_SECOND));
        }
    }
    let at_first = index.share();
    index.use_up();
    for _ in 0..steps {
        index.step();
    }
    let most = index.lacked.iter().enumerate().max_by_key(|(_, lacked)| **lacked);
    let narrowest = most.filter(|(_, lacked)| **lacked > 0).map(|(status, _)| STATUSES[status]);
    Outcome { at_first, lasts, after: index.share(), narrowest }
}

/// The highest rate of which less than 0.1 % is throttled in the long run.
pub fn sustained(load: Load, shards: Shards, setup: Setup) -> f64 {
    let unit = Load { rate: 1.0, ..load };
    let room =
        unit.writes().into_iter().zip(shards).map(|(writes, n)| f64::from(WRITES_PER_SECOND * n) / writes);
    // Twice of what cannot be, so that it is the simulation that says so.
    let (mut least, mut most) = (0.0, 2.0 * room.fold(f64::INFINITY, f64::min));
    for _ in 0..SEARCH {
        let rate = f64::midpoint(least, most);
        let kept = simulate(Load { rate, ..load }, shards, setup).after < 0.001;
        *if kept { &mut least } else { &mut most } = rate;
    }
    least
}

/// How many simulations `sustained` takes.
pub const SEARCH: u32 = 9;

/// A kind of move, and how many of it are due in each shard that it comes from.
struct Move {
    from: Option<usize>,
    to: usize,
    due: Vec<u64>,
}

struct Index {
    load: Load,
    rng: Rng,
    /// By status and shard: writes that it would take at once.
    tokens: [Vec<u64>; 5],
    most_tokens: u64,
    /// By status and shard: tasks that are there.
    tasks: [Vec<u64>; 5],
    moves: u64,
    throttled: u64,
    lacked: [u64; 5],
}

impl Index {
    /// With as many tasks on their way as there are in the long run, and all saved up.
    fn new(load: Load, shards: Shards, setup: Setup) -> Self {
        // What comes within a second is taken in any case.
        let most_tokens = u64::from(WRITES_PER_SECOND * setup.burst_seconds.max(1));
        let resting = [
            load.rate * PENDING_SECONDS,
            load.rate * load.attempts() * load.work_seconds,
            load.rate * (load.attempts() - 1.0) * load.retry_seconds,
            0.0,
            0.0,
        ];
        let mut nth = 0..;
        let tasks = resting.map(|tasks| {
            let n = shards[nth.next().unwrap_or_default()];
            vec![(tasks / f64::from(n)).round() as u64; n as usize]
        });
        Self {
            load,
            rng: Rng::with_seed(setup.seed),
            tokens: shards.map(|n| vec![most_tokens; n as usize]),
            most_tokens,
            tasks,
            moves: 0,
            throttled: 0,
            lacked: [0; 5],
        }
    }

    /// Takes away what is saved up, and counts anew.
    fn use_up(&mut self) {
        self.tokens.iter_mut().flatten().for_each(|tokens| *tokens = 0);
        (self.moves, self.throttled, self.lacked) = (0, 0, [0; 5]);
    }

    fn share(&self) -> f64 {
        self.throttled as f64 / self.moves.max(1) as f64
    }

    fn step(&mut self) {
        for tokens in self.tokens.iter_mut().flatten() {
            *tokens = self.most_tokens.min(*tokens + u64::from(WRITES_PER_SECOND / STEPS_PER_SECOND));
        }
        let mut moves = self.due();
        // Nobody goes first.
        self.rng.shuffle(&mut moves);
        for due in &moves {
            self.take(due);
        }
    }

    /// What happens in this step, if it is let.
    fn due(&mut self) -> [Move; 6] {
        let Self { load, rng, tasks, .. } = self;
        let shards = tasks[PENDING].len();
        let each = load.rate / f64::from(STEPS_PER_SECOND) / shards as f64;
        let created = (0..shards).map(|_| poisson(rng, each)).collect();
        let mut leave = |status: usize, seconds: f64| -> Vec<u64> {
            let chance = -(-1.0 / (seconds * f64::from(STEPS_PER_SECOND))).exp_m1();
            tasks[status].iter().map(|tasks| binomial(rng, *tasks, chance)).collect()
        };
        let started = leave(PENDING, PENDING_SECONDS);
        let retried = leave(FAILED, load.retry_seconds);
        let mut succeeded = leave(IN_PROGRESS, load.work_seconds);
        // Which attempt it was is not kept: of the failed ones, the part that is the last is always the same.
        let last = load.given_up() / (load.attempts() - 1.0 + load.given_up()).max(f64::MIN_POSITIVE);
        let (mut failed, mut ignored) = (vec![0; succeeded.len()], vec![0; succeeded.len()]);
        for (nth, ended) in succeeded.iter_mut().enumerate() {
            failed[nth] = binomial(rng, *ended, load.failing);
            *ended -= failed[nth];
            ignored[nth] = binomial(rng, failed[nth], last);
            failed[nth] -= ignored[nth];
        }
        [
            Move { from: None, to: PENDING, due: created },
            Move { from: Some(PENDING), to: IN_PROGRESS, due: started },
            Move { from: Some(FAILED), to: IN_PROGRESS, due: retried },
            Move { from: Some(IN_PROGRESS), to: SUCCEEDED, due: succeeded },
            Move { from: Some(IN_PROGRESS), to: FAILED, due: failed },
            Move { from: Some(IN_PROGRESS), to: IGNORED, due: ignored },
        ]
    }

    /// Makes the moves for which there are tokens where they come from and where they go.
    ///
    /// The others are counted, and their tasks go on as if they had been tried again with success: what is offered
    /// stays what comes, and does not pile up.
    fn take(&mut self, Move { from, to, due }: &Move) {
        let shards = self.tasks[*to].len();
        let Some(from) = *from else {
            for (shard, due) in due.iter().enumerate() {
                self.arrive(*to, shard, *due);
                let taken = self.room(*to, shard, *due);
                self.tokens[*to][shard] -= taken;
                self.count(*due, taken, &[(*to, taken)]);
            }
            return;
        };
        // Shards are `hash % n`: those that are the same modulo the divisor of both numbers share their tasks.
        let classes = gcd(due.len(), shards);
        for class in 0..classes {
            let sources: Vec<_> = (class..due.len()).step_by(classes).collect();
            let all = sources.iter().map(|shard| due[*shard]).sum();
            let can_go: Vec<_> = sources.iter().map(|shard| self.room(from, *shard, due[*shard])).collect();
            let targets: Vec<_> = (class..shards).step_by(classes).collect();
            let come = multinomial(&mut self.rng, all, targets.len());
            let can_come: Vec<_> =
                targets.iter().zip(&come).map(|(shard, tasks)| self.room(*to, *shard, *tasks)).collect();
            let (go, arrive) = (can_go.iter().sum::<u64>(), can_come.iter().sum::<u64>());
            let taken = go.min(arrive);
            spend(&mut self.tokens[from], &sources, &can_go, taken);
            spend(&mut self.tokens[*to], &targets, &can_come, taken);
            self.count(all, taken, &[(from, go), (*to, arrive)]);
            for shard in sources {
                self.tasks[from][shard] -= due[shard];
            }
            for (shard, tasks) in targets.into_iter().zip(come) {
                self.arrive(*to, shard, tasks);
            }
        }
    }

    fn room(&self, status: usize, shard: usize, tasks: u64) -> u64 {
        tasks.min(self.tokens[status][shard])
    }

    fn arrive(&mut self, status: usize, shard: usize, tasks: u64) {
        self.tasks[status][shard] += tasks;
    }

    fn count(&mut self, due: u64, taken: u64, could: &[(usize, u64)]) {
        self.moves += due;
        self.throttled += due - taken;
        for (status, could) in could {
            self.lacked[*status] += due - could;
        }
    }
}

/// How long a task waits for its first start.
const PENDING_SECONDS: f64 = 1.0;

/// Takes `taken` tokens from the shards, each as many of them as is its part of what it could give.
fn spend(tokens: &mut [u64], shards: &[usize], could: &[u64], taken: u64) {
    let all = could.iter().sum::<u64>().max(1);
    let mut sum = 0;
    for (shard, could) in shards.iter().zip(could) {
        let before = sum * taken / all;
        sum += could;
        tokens[*shard] -= sum * taken / all - before;
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
