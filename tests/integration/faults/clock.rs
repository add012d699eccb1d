//! The date of the whole server steps, forward and back. Nothing that lasts gets longer or
//! shorter by it.

use super::*;
use crate::support::preload;
use libc::SIGTERM;
use std::path::PathBuf;
use std::time::Instant;

/// Adds the seconds in a file to every date that a process asks for.
const STEPPING_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step;

static __attribute__((constructor)) void begin(void)
{
	int file = open(getenv("CLOCK_STEP"), O_RDONLY);

	step = mmap(0, sizeof(*step), PROT_READ, MAP_SHARED, file, 0);
	close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	long rc = syscall(SYS_clock_gettime, clock, now);

	if(rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += *step;
	return (int)rc;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec exact;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &exact);
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *now)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME_COARSE, &exact);
	if(now != NULL)
		*now = exact.tv_sec;
	return exact.tv_sec;
}
"#;

struct Clock {
    library: PathBuf,
    step: PathBuf,
}

impl Clock {
    fn new(folder: &Folder) -> Self {
        let library = preload::library_of(folder.path(), STEPPING_CLOCK);
        let clock = Clock { library, step: folder.join("step") };
        clock.set(0);
        clock
    }

    /// The date is so many seconds ahead of the true one.
    fn set(&self, seconds: i64) {
        use std::os::unix::fs::FileExt;
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&self.step).unwrap();
        file.write_all_at(&seconds.to_le_bytes(), 0).unwrap();
    }
}

const DAY: i64 = 86_400;

/// A date that steps forward takes Kamailio's timers along, so that calls end whose dialogs have
/// a shorter lifetime than the step; one that steps back does not.
#[test]
fn a_date_that_steps_changes_no_count_no_block_and_no_grant() {
    let mut site = Site::new().settings("modparam(\"dialog\", \"default_timeout\", 2592000)\n");
    // Canaries, which show that the timers have stepped.
    let routes = site.config.routes.replace("$avp(lifetime) = 2;", "$avp(lifetime) = 7200;");
    assert!(routes != site.config.routes);
    site.config.routes = routes;
    let clock = Clock::new(&site.folder);
    site.config.preload(&clock.library, "CLOCK_STEP", &clock.step);
    let mut kamailio = site.config.start();
    let endpoint = Endpoint::new("127.0.0.1");
    kamailio.rpc("sipwarden.block", json!(["203.0.113.7", "600"]));
    kamailio.rpc("sipwarden.allow", json!(["office", "127.7.0.1", "600"]));
    kamailio.rpc("sipwarden.ban", json!(["a@c", "203.0.113.9", "600"]));
    let began = Instant::now();
    let left = |kamailio: &Kamailio| {
        let block = &kamailio.rpc("sipwarden.blocks", json!([]))["blocks"][0];
        let grant = &kamailio.rpc("sipwarden.grants", json!([]))["grants"][0];
        let ban = &kamailio.rpc("sipwarden.bans", json!([]))["bans"][0];
        [block, grant, ban].map(|shown| shown["seconds_left"].as_u64().unwrap())
    };
    // What has passed since then is gone, and a second for what is rounded; no more, no less.
    let assert_left = |kamailio: &Kamailio, step: i64| {
        let earlier = began.elapsed().as_secs();
        let shown = left(kamailio);
        let later = began.elapsed().as_secs();
        let may_be = 600 - (later + 2)..=600 - earlier.saturating_sub(1);
        assert!(shown.iter().all(|left| may_be.contains(left)), "{step}: {shown:?}, {may_be:?}");
    };
    let mut up: Vec<_> = (0..2).map(|_| call_up(&endpoint, &kamailio, "c", "")).collect();
    let (mut before, mut furthest) = (0, 0);
    for step in [DAY, -DAY, -20 * DAY, 3 * DAY, 0] {
        call_up(&endpoint, &kamailio, "d", "X-Do: lifetime\r\n");
        clock.set(step);
        let stats = kamailio.rpc("sipwarden.stats", json!([]));
        let age = stats["age_seconds"].as_i64().unwrap();
        // By the date at which they were loaded.
        let stepped = (step - before).max(0);
        assert!((stepped..stepped + 600).contains(&age), "{step}: {age}");
        // The timers go by the furthest date that they have seen.
        if step > furthest {
            let limit = std::time::Duration::from_secs(60);
            crate::support::wait_up_to(limit, "the canary to end", || {
                (proxy::calls(&kamailio, "d") == 0).then_some(())
            });
        }
        (before, furthest) = (step, step.max(furthest));
        under_calls(&kamailio, || {
            kamailio.rpc("sipwarden.reload", json!([]));
            // A block that is over ends, whatever the date.
            kamailio.rpc("sipwarden.block", json!(["203.0.113.8", "1"]));
            wait_for("the end of a block", || {
                (kamailio.counter("blocks_active") == 1).then_some(())
            });
        });
        assert_left(&kamailio, step);
        assert_eq!(proxy::calls(&kamailio, "c"), 2, "{step}");
        assert!(answer_to(&endpoint, &kamailio, "c").contains("company_limit 2/2"), "{step}");
        let mut last = up.pop().unwrap();
        last.within("BYE");
        proxy::wait_for_calls(&kamailio, "c", 1);
        up.push(call_up(&endpoint, &kamailio, "c", ""));
    }
    // A date that is set back before a start makes nothing longer.
    site.wait_for_files(&kamailio);
    clock.set(-DAY);
    kamailio.stop(SIGTERM);
    site.assert_files();
    let kamailio = site.config.start();
    let shown = left(&kamailio);
    assert!(shown.iter().all(|left| (1..=600).contains(left)), "{shown:?}");
}
