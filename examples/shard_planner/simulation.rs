//! Simulates the partitions of an index as token buckets, and the tasks that move through them.

// Counts of tasks in a tenth of a second are too small for an `f64` to round them.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

use fastrand::Rng;

use super::chance::{binomial, multinomial, poisson};

pub const STATUSES: [&str; 5] = ["pending", "in_progress", "failed", "succeeded", "ignored"];

const PENDING: usize = 0;
const IN_PROGRESS: usize = 1;
const FAILED: usize = 2;
const SUCCEEDED: usize = 3;
const IGNORED: usize = 4;

/// The writes per second that a partition of the index takes. The projection of an item is below 1 KB, so a write is one
/// unit.
pub const WRITES_PER_SECOND: u32 = 1000;
const STEPS_PER_SECOND: u32 = 10;

/// The number of shards of each status, in the order of `STATUSES`.
pub type Shards = [u32; 5];

/// The tasks that arrive, and how their attempts end.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many tasks are created per second.
    pub rate: f64,
    /// The fraction of the attempts that fail.
    pub failing: f64,
    /// After how many failed attempts a task is ignored.
    pub max_retry: u32,
    /// How long a body works, on average.
    pub work_seconds: f64,
    /// How long a failed task waits for its next attempt, on average.
    pub retry_seconds: f64,
}

impl Load {
    /// Returns how many attempts a task takes on average.
    pub fn attempts(&self) -> f64 {
        (0..self.max_retry).map(|failed| self.failing.powf(failed.into())).sum()
    }

    /// Returns the fraction of the tasks that end as ignored.
    pub fn given_up(&self) -> f64 {
        self.failing.powf(self.max_retry.into())
    }

    /// Returns the writes per second in the partitions of each status: a put for each task that enters it, and a delete for
    /// each task that leaves it.
    pub fn writes(&self) -> [f64; 5] {
        let attempts = self.attempts();
        [2.0, 2.0 * attempts, 2.0 * (attempts - 1.0), 1.0 - self.given_up(), self.given_up()]
            .map(|writes| self.rate * writes)
    }
}

/// The settings of a simulation.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// For how many seconds a partition saves unused capacity.
    pub burst_seconds: u32,
    /// The length of each of the two phases: the first begins with the full burst, the second without it.
    pub seconds: u32,
    pub seed: u64,
}

/// The result of a simulation. Shares are fractions of all transitions.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The share that was throttled in the phase that begins with the full burst.
    pub at_first: f64,
    /// How many seconds that phase lasted before the first throttled transition, if there was one.
    pub lasts: Option<f64>,
    /// The share that was throttled in the phase that begins without the burst.
    pub after: f64,
    /// The status whose partitions had to refuse the most writes, if any did.
    pub narrowest: Option<&'static str>,
}

/// Simulates both phases, each of `setup.seconds`.
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

/// Searches for the highest rate at which less than 0.1 % is throttled without the burst.
pub fn sustained(load: Load, shards: Shards, setup: Setup) -> f64 {
    let unit = Load { rate: 1.0, ..load };
    let room =
        unit.writes().into_iter().zip(shards).map(|(writes, n)| f64::from(WRITES_PER_SECOND * n) / writes);
    // Starts at twice the possible rate, so that the simulation alone decides.
    let (mut least, mut most) = (0.0, 2.0 * room.fold(f64::INFINITY, f64::min));
    for _ in 0..SEARCH {
        let rate = f64::midpoint(least, most);
        let kept = simulate(Load { rate, ..load }, shards, setup).after < 0.001;
        *if kept { &mut least } else { &mut most } = rate;
    }
    least
}

/// How many simulations `sustained` runs.
pub const SEARCH: u32 = 9;

/// A kind of transition, and how many are due in each shard that they leave. New tasks come from no shard: their numbers
/// are by the shard that they enter.
struct Move {
    from: Option<usize>,
    to: usize,
    due: Vec<u64>,
}

struct Index {
    load: Load,
    rng: Rng,
    /// By status and shard: the writes that the shard would take at once.
    tokens: [Vec<u64>; 5],
    most_tokens: u64,
    /// By status and shard: the tasks in the shard.
    tasks: [Vec<u64>; 5],
    moves: u64,
    throttled: u64,
    lacked: [u64; 5],
}

impl Index {
    /// Begins with the full burst, and with as many tasks in each status as in the long run.
    fn new(load: Load, shards: Shards, setup: Setup) -> Self {
        // A bucket holds at least the capacity of one second.
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

    /// Empties the buckets and resets the counters.
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
        // A random order favours no kind of transition.
        self.rng.shuffle(&mut moves);
        for due in &moves {
            self.take(due);
        }
    }

    /// Draws the transitions that are due in this step.
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
        // Attempts are not numbered: a fixed fraction of the failed attempts counts as the last attempt of a task.
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

    /// Makes the transitions for which both the source shard and the target shard have a token.
    ///
    /// The other transitions count as throttled, but their tasks move on as if a retry had succeeded: the load stays the
    /// same and nothing piles up.
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
        // A shard is `hash % n`: tasks move only between shards that are equal modulo the greatest common divisor.
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

/// How long a task waits for its first start, on average.
const PENDING_SECONDS: f64 = 1.0;

/// Takes `taken` tokens from the shards, from each in proportion to what it could give.
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
