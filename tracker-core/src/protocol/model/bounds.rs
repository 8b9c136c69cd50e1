//! How much may happen in one exploration.

pub(super) const FIRST_TICK: u16 = 3;

/// How much may happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) workers: usize,
    /// Until when the clock goes on.
    pub(super) ticks: u16,
    pub(super) starts: usize,
    pub(super) heartbeats: u8,
    pub(super) saves: u8,
    pub(super) redrives: u8,
    /// How many attempts come to their finish; the others die.
    pub(super) finishes: u8,
    /// How many programs create the task; 0 where it is there from the beginning.
    pub(super) creates: u8,
    /// How often a clock may step, within the skew.
    pub(super) clock_steps: u8,
    /// How often a holder's clock may step beyond the skew, or its machine be suspended.
    pub(super) wild_clocks: u8,
    /// Whether there are workers of a second step.
    pub(super) two_steps: bool,
    /// Whether a start may be cancelled, and a lease be released.
    pub(super) releases: bool,
}

impl Bounds {
    pub(super) const NONE: Self = Self {
        workers: 2,
        ticks: FIRST_TICK + 5,
        starts: 2,
        heartbeats: 0,
        saves: 0,
        redrives: 0,
        finishes: u8::MAX,
        creates: 0,
        clock_steps: 0,
        wild_clocks: 0,
        two_steps: false,
        releases: false,
    };
}
