//! Notices on their way.

use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::notices::Notice;

/// Notices between the thread that brings them and the broker's first one.
#[derive(Default)]
pub struct Post {
    /// To be told.
    pub out: Vec<Notice>,
    /// Names and texts that have come.
    pub heard: Vec<(String, String)>,
    /// The server's clock in ms, and the monotonic one then.
    pub server: Option<(u64, u64)>,
    /// The server knows nothing of before: all has to be told again.
    pub anew: bool,
    /// All that the server knew when this node came has been heard.
    pub caught_up: bool,
}

/// The post, shared by both threads.
#[derive(Default)]
pub struct PostBox {
    post: Mutex<Post>,
    wakes: Condvar,
}

impl PostBox {
    pub fn lock(&self) -> MutexGuard<'_, Post> {
        self.post.lock()
    }

    /// There is something to be told.
    pub fn wake(&self) {
        self.wakes.notify_one();
    }

    /// Waits until there is, at most for `longest`.
    pub fn wait(&self, longest: Duration) {
        let mut post = self.post.lock();
        if post.out.is_empty() {
            self.wakes.wait_for(&mut post, longest);
        }
    }
}
