//! What a node knows of one shared scope: its calls, and how many it may have.

/// The numbers of a scope on one node. They are read and changed under the scope's lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Live calls.
    pub calls: u32,
    /// Calls that the node's claim admits: never more than the claim.
    pub granted: u32,
    /// Workers that wait for a slot.
    pub waiting: u32,
    /// The broker has to look at it.
    pub marked: bool,
}

/// What shall become of the node's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is right.
    Keep,
    /// Fewer slots.
    Lower(u32),
    /// More slots, whatever the limit: calls live that it does not cover.
    Force(u32),
}

impl Counts {
    /// Whether a call more is covered.
    pub fn covers_one_more(&self) -> bool {
        self.calls < self.granted
    }

    /// Whether the claim must grow before all that wait are served, if `coming` slots are
    /// asked for already.
    pub fn lacks(&self, coming: u32) -> bool {
        self.granted.saturating_add(coming) < self.calls.saturating_add(self.waiting)
    }

    /// A worker begins to wait.
    pub fn wait(&mut self) {
        self.waiting = self.waiting.saturating_add(1);
    }

    /// A worker waits no more, without a call: what was granted for it is idle.
    pub fn leave(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        self.marked = true;
    }

    /// A call is counted that is covered.
    pub fn admit(&mut self) {
        self.calls = self.calls.saturating_add(1);
    }

    /// The call of a worker that waited is counted: it is covered.
    pub fn admit_waiting(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        self.admit();
    }

    /// A call is counted whether covered or not.
    pub fn count_anyway(&mut self) {
        self.calls = self.calls.saturating_add(1);
        self.marked = true;
    }

    /// A call ends and takes its slot along; what was granted to those that wait stays. Else
    /// a node above the limit would refill its own slots for ever.
    pub fn end(&mut self) {
        let idle = self.granted.saturating_sub(self.calls);
        self.calls = self.calls.saturating_sub(1);
        self.granted = self.granted.min(self.calls.saturating_add(idle));
        self.marked = true;
    }

    /// Gives up what nobody wants, here first, and tells what shall become of the claim. The
    /// mark goes.
    pub fn settle(&mut self, claimed: u32) -> Change {
        let wanted = self.calls.saturating_add(self.waiting);
        self.granted = self.granted.min(wanted).max(self.calls.min(claimed));
        self.marked = false;
        let claim = self.granted.max(self.calls);
        if claimed > claim {
            Change::Lower(claim)
        } else if claimed < self.calls {
            Change::Force(self.calls)
        } else {
            Change::Keep
        }
    }

    /// Whether the broker has something to do, given the node's claim.
    pub fn needs(&self, claimed: u32) -> bool {
        self.granted > self.calls.saturating_add(self.waiting)
            || claimed > self.granted.max(self.calls)
            || claimed < self.calls
            || self.granted < self.calls.min(claimed)
    }

    /// The claim has grown by one within the limit.
    pub fn grant(&mut self) {
        self.granted = self.granted.saturating_add(1);
    }

    /// The claim was forced to `claim`. It covers calls that live, and makes no room.
    pub fn force(&mut self, claim: u32) {
        self.granted = self.granted.max(claim.min(self.calls));
    }

    /// The claim was published as `claim` in a new session: what was granted before is over.
    pub fn publish(&mut self, claim: u32) {
        self.granted = claim.min(self.calls);
    }
}
