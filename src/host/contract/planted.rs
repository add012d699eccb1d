//! What sanitizers must find, to prove that they do. Only a build for them has it.

use std::hint::black_box;

unsafe extern "C" {
    /// Of `c_shim/common/planted.c`.
    fn sw_plant(kind: libc::c_int);
}

/// Does what the environment variable `SIPWARDEN_PLANTED` names.
pub fn plant() {
    let kind = std::env::var("SIPWARDEN_PLANTED").unwrap_or_default();
    let memory = black_box(vec![1u8; 24]);
    let beyond = memory.as_ptr().wrapping_add(black_box(memory.len()));
    match &*kind {
        // SAFETY: none; it is read to be found.
        "rust overrun" => _ = black_box(unsafe { beyond.read_volatile() }),
        "rust freed" => {
            let freed = memory.as_ptr();
            drop(memory);
            // SAFETY: none; it is read to be found.
            _ = black_box(unsafe { freed.read_volatile() });
        }
        "rust overflow" => _ = black_box(black_box(i32::MAX) + black_box(1)),
        // SAFETY: it touches nothing but what it allocates.
        "shim overrun" => unsafe { sw_plant(0) },
        // SAFETY: as above.
        "shim overflow" => unsafe { sw_plant(1) },
        _ => {}
    }
}
