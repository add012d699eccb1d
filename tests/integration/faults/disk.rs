//! A disk that takes its time.

use super::*;
use crate::support::preload;

/// Each write and flush of a file that is being made takes a second; that it was so is noted.
const SLOW_DISK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_if_slow(int fd)
{
	const struct timespec second = {1, 0};
	const char *suffix = ".new";
	char link[64], path[4096];
	ssize_t size;
	int notes;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof(path) - 1);
	if(size < 4 || memcmp(path + size - 4, suffix, 4) != 0)
		return;
	nanosleep(&second, NULL);
	notes = open(getenv("SLOWED"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	syscall(SYS_write, notes, "x", 1);
	close(notes);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
	wait_if_slow(fd);
	return syscall(SYS_write, fd, bytes, count);
}

int fsync(int fd)
{
	wait_if_slow(fd);
	return syscall(SYS_fsync, fd);
}
"#;

#[test]
fn a_slow_disk_keeps_no_call_waiting_and_files_are_whole() {
    let mut site = Site::new();
    let library = preload::library_of(site.folder.path(), SLOW_DISK);
    let notes = site.folder.join("slowed");
    site.config.preload(&library, "SLOWED", &notes);
    let mut kamailio = site.config.start();
    let slowed = || std::fs::read(&notes).unwrap_or_default().len();
    under_calls(&kamailio, || {
        for _ in 0..2 {
            kamailio.rpc("sipwarden.reload", json!([]));
            site.wait_for_files(&kamailio);
            let before = slowed();
            kamailio.rpc("sipwarden.unblock", json!(["203.0.113.7"]));
            wait_for("a file on its way", || (slowed() > before).then_some(()));
            assert_eq!(kamailio.rpc("sipwarden.blocks", json!([]))["total"], 0);
        }
    });
    kamailio.rpc("sipwarden.block", json!(["203.0.113.7", "600"]));
    assert_ends(&mut kamailio);
    site.assert_files();
    let kamailio = site.config.start();
    assert_eq!(kamailio.counter("blocks_active"), 1, "{}", kamailio.log());
}
