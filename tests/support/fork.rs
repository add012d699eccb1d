//! Processes that share memory.

/// Children of fork share what is mapped; each does what `act` does, and exits 0.
pub fn fork_all(count: usize, act: impl Fn(usize) -> bool) {
    let children: Vec<libc::pid_t> = (0..count)
        // SAFETY: the child calls `act`, which does not allocate, and _exit.
        .map(|n| match unsafe { libc::fork() } {
            0 => {
                let ok = act(n);
                // SAFETY: ends the child without running this process's destructors.
                unsafe { libc::_exit(i32::from(!ok)) }
            }
            pid => pid,
        })
        .collect();
    for pid in children {
        let mut status = 0;
        // SAFETY: waits for a child of this process.
        unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0), "{pid}");
    }
}
