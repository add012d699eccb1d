//! What becomes of a call that was counted: it is answered, counts no more, comes back.

use super::DialogId;
use super::info::LeaseInfo;
use super::ledger::Ledger;
use super::record::Change;
use crate::shm::atomic::keep_order;

impl Ledger {
    /// As [`Ledger::release`]; what call it was, if it counted.
    pub fn expire(&self, dialog: DialogId) -> Option<LeaseInfo> {
        let chain = self.dialogs.lock(self.bucket_of(dialog))?;
        let (position, lease) = self.find(&chain, dialog).filter(|(_, lease)| lease.is_live())?;
        let info = self.info(position, lease);
        self.count_no_more(lease);
        Some(info)
    }

    /// The call counts no more, and may come back. False if it did not count.
    pub fn release(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| {
            let live = lease.is_live();
            if live {
                self.count_no_more(lease);
            }
            live
        })
        .unwrap_or(false)
    }

    /// A released call turns out to live: it counts again, whatever the limits
    /// say. False if there is nothing to take back.
    pub fn resume(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| {
            let released = !lease.is_live();
            if released {
                self.change(lease, Change::one_more(lease.is_emergency(), lease.is_ringing()));
                self.set_live(lease, true);
            }
            released
        })
        .unwrap_or(false)
    }

    /// The call was answered: it rings no more in any of its scopes. False if it did not
    /// ring. It says so for good, so it may be said at any time and as often as one likes:
    ///
    /// - before or after the call was released, since what it counts as is read with each
    ///   change from the lease, under the lock of its dialog;
    /// - while a company is added, which counts as the lease says right then.
    ///
    /// Who counts a call looks afterwards whether it is answered: what said so in between
    /// has found no lease.
    pub fn answer(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| {
            let rings = lease.is_ringing();
            if rings {
                // First: a process that dies in between leaves counts that are too high, not
                // some that are taken out twice.
                lease.set_answered();
                keep_order();
                if lease.is_live() {
                    self.change(lease, Change::ANSWERED);
                }
            }
            rings
        })
        .unwrap_or(false)
    }
}
