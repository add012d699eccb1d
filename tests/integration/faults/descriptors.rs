//! File descriptors used up in all processes.

use super::*;

/// The limit of a process that leaves it so many file descriptors: their numbers may have gaps.
fn limit_with(pid: u64, free: usize) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let number = |file: std::io::Result<std::fs::DirEntry>| {
        file.unwrap().file_name().to_str().unwrap().parse::<usize>().unwrap()
    };
    let open: std::collections::HashSet<usize> = files.map(number).collect();
    let mut unused = (0..).filter(|number| !open.contains(number));
    unused.nth(free).unwrap()
}

#[test]
fn without_file_descriptors_jobs_fail_and_calls_go_on() {
    let site = Site::new();
    let mut kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    let all = pids(&kamailio);
    let ctl = u64::from(kamailio.process("ctl handler"));
    let warden = u64::from(kamailio.process("sipwarden warden"));
    // One connection at a time is left to the process that answers kamcmd.
    let give = |pid: u64| {
        let most = limit_with(pid, usize::from(pid == ctl));
        limit(pid, &format!("--nofile={most}:"));
    };
    let blocks = site.folder.join("blocks");
    under_calls(&kamailio, || {
        all.iter().for_each(|pid| give(*pid));
        let fault = kamailio.kamcmd(&["sipwarden.reload"]);
        assert!(fault.contains("error: 500 - "), "{fault}");
        // A block in shared memory needs none; its file does.
        kamailio.kamcmd(&["sipwarden.block", "203.0.113.9", "600"]);
        wait_for("the warden's complaint", || {
            kamailio.log().contains("Too many open files").then_some(())
        });
        assert!(!std::fs::read_to_string(&blocks).unwrap().contains("203.0.113.9"));
    });
    assert!(kamailio.runs());
    limit(warden, "--nofile=1024:");
    all.iter().for_each(|pid| limit(*pid, "--nofile=1024:"));
    wait_for("the file of blocks", || {
        std::fs::read_to_string(&blocks).unwrap().contains("203.0.113.9").then_some(())
    });
    assert!(kamailio.kamcmd(&["sipwarden.reload"]).contains("generation: 2"));
    proxy::assert_nothing_left(&kamailio);
    kamailio.stop(libc::SIGTERM);
    site.assert_files();
}
