//! Log lines through the host. Text never becomes a format.

use std::fmt::Arguments;

use super::abi::{
    self, SW_LOG_CRITICAL, SW_LOG_DEBUG, SW_LOG_ERROR, SW_LOG_INFO, SW_LOG_WARNING, sw_log_level,
};

fn write(level: sw_log_level, line: Arguments<'_>) {
    let Some(host) = abi::host() else { return };
    let Some(log) = host.log else { return };
    if enabled(level) {
        let line = line.to_string();
        // SAFETY: the text is valid during the call.
        unsafe { log(level, line.as_bytes().into()) };
    }
}

fn enabled(level: sw_log_level) -> bool {
    abi::host().and_then(|h| h.log_enabled).is_some_and(|enabled| {
        // SAFETY: only compares the level with the host's settings.
        unsafe { enabled(level) != 0 }
    })
}

/// Whether debug lines are wanted.
pub fn debugs() -> bool {
    enabled(SW_LOG_DEBUG)
}

/// Something that must not happen.
pub fn critical(line: Arguments<'_>) {
    write(SW_LOG_CRITICAL, line);
}

/// Something was refused or failed.
pub fn error(line: Arguments<'_>) {
    write(SW_LOG_ERROR, line);
}

/// Looks like a mistake.
pub fn warning(line: Arguments<'_>) {
    write(SW_LOG_WARNING, line);
}

/// Start-up and reloads.
pub fn info(line: Arguments<'_>) {
    write(SW_LOG_INFO, line);
}

/// Per request; costs one comparison unless the host's debug level asks for it.
pub fn debug(line: Arguments<'_>) {
    write(SW_LOG_DEBUG, line);
}
