//! The bounds of one search: how much may happen.

/// How many requests one start sends at most. The tracker sends up to 6, and as many again if the start is dropped; 3 keep the model
/// small.
pub(super) const SENDS: usize = 3;
/// The tick at which a search begins.
pub(super) const FIRST_TICK: u16 = 3;

/// The bounds of one search.
#[expect(clippy::struct_excessive_bools, reason = "each switches one kind of event")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) workers: usize,
    /// The tick at which time stops.
    pub(super) ticks: u16,
    /// How many starts there are in all.
    pub(super) starts: usize,
    pub(super) heartbeats: u8,
    pub(super) saves: u8,
    pub(super) redrives: u8,
    /// How often a task that waits is made due by hand.
    pub(super) run_nows: u8,
    /// How many cancels there are.
    pub(super) cancels: u8,
    /// How many deletes there are.
    pub(super) deletes: u8,
    /// How many releases by hand there are.
    pub(super) hand_releases: u8,
    /// How many attempts send a finish. The workers of the others crash, or lose their leases.
    pub(super) finishes: u8,
    /// How often the task is created. Without creates, or with deletes or retention, the task exists from the beginning.
    pub(super) creates: u8,
    /// How often a clock may step within the skew.
    pub(super) clock_steps: u8,
    /// How often a holder's clock may step beyond the skew, or its machine may be suspended.
    pub(super) wild_clocks: u8,
    /// Whether a worker whose clock is ahead is ahead by twice the skew. Then only what workers are told is checked.
    pub(super) clocks_far_apart: bool,
    /// Whether workers may have longer leases than others.
    pub(super) long_leases: bool,
    /// Whether the pipeline has a second step.
    pub(super) two_steps: bool,
    /// Whether a start may be dropped, and a task released.
    pub(super) releases: bool,
    /// How many starts of Python's there are. With them, this crate takes nothing over.
    pub(super) python_starts: u8,
    /// How often Python puts back a task that it has read. Then only what workers are told is checked.
    pub(super) python_saves: u8,
    /// How often a script sets the status back to pending, if Python saves nothing.
    pub(super) python_resets: u8,
    /// Whether attempts end in snoozes and in failures that wait.
    pub(super) waits: bool,
    /// How many ticks after the first one the task can be started; with 0, at once.
    pub(super) run_at: u16,
    /// Whether DynamoDB deletes the task once its time is over, and a create replaces it.
    pub(super) retention: bool,
    /// Whether a success has an effect: both are one transaction.
    pub(super) effects: bool,
    /// How often the condition of the effect turns: to false first.
    pub(super) effect_turns: u8,
    /// Whether requests are shared. Then a start expects a status, and the image of a failed condition is read later.
    pub(super) shares: bool,
}

impl Bounds {
    /// Two workers, two starts and their finishes. Every other event is off.
    pub(super) const NONE: Self = Self {
        workers: 2,
        ticks: FIRST_TICK + 5,
        starts: 2,
        heartbeats: 0,
        saves: 0,
        redrives: 0,
        run_nows: 0,
        cancels: 0,
        deletes: 0,
        hand_releases: 0,
        finishes: u8::MAX,
        creates: 0,
        clock_steps: 0,
        wild_clocks: 0,
        clocks_far_apart: false,
        long_leases: false,
        two_steps: false,
        releases: false,
        python_starts: 0,
        python_saves: 0,
        python_resets: 0,
        waits: false,
        run_at: 0,
        retention: false,
        effects: false,
        effect_turns: 0,
        shares: false,
    };
}
