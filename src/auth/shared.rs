//! The rules in shared memory, and the copy that each process keeps.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::*};

use bytemuck::{Pod, Zeroable};

use super::rules::Rules;
use super::settings::AuthSettings;
use crate::shm::{Area, SharedMutex};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Current {
    settings: AuthSettings,
    padding: u32,
    rules: Rules,
}

/// Settings and rules of all processes.
pub struct SharedRules {
    /// [`Rules::version`] of the current ones.
    version: &'static AtomicU64,
    current: &'static SharedMutex<Current>,
}

impl SharedRules {
    /// Maps them with these settings.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(settings: AuthSettings) -> io::Result<Self> {
        let shared = SharedRules { version: Area::share()?, current: Area::share()? };
        shared.change(|current| *current = settings);
        Ok(shared)
    }

    /// Changes settings; processes follow with their next check.
    pub fn change(&self, change: impl FnOnce(&mut AuthSettings)) {
        let mut current = self.current.lock();
        change(&mut current.settings);
        current.rules = Rules::new(&current.settings, &current.rules);
        self.version.store(current.rules.version, Release);
    }

    /// The settings now.
    pub fn settings(&self) -> AuthSettings {
        self.current.lock().settings
    }

    /// Brings a process's copy up to date.
    pub fn refresh(&self, copy: &mut Rules) {
        if copy.version != self.version.load(Acquire) {
            *copy = self.current.lock().rules;
        }
    }
}
