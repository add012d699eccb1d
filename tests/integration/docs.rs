//! The reference and the README say what the code's own tables say.
//! `UPDATE_DOCS=1 cargo test --test docs` rewrites the generated parts.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use sipwarden::events::EventKind;
use sipwarden::host::{ATTRIBUTES, Kind, PARAMS, rpc_methods, statistic_names};
use sipwarden::tables::Table;
use sipwarden::verdict::{CC_LIMIT, CHECK_COMPANY_IP, FUNCTIONS, ROADWARRIOR_ACQUIRE};

fn project(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The text between the markers of `name` must be `expected`.
pub fn check(file: &str, name: &str, expected: &str) {
    let path = project(file);
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let from = text.find(&begin).unwrap_or_else(|| panic!("{file}: no {begin}")) + begin.len();
    let to = from + text[from..].find(&end).unwrap_or_else(|| panic!("{file}: no {end}"));
    if text[from..to] == *expected {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{}{expected}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    panic!(
        "{file}: part {name} differs from the code, which says\n{expected}\nrun UPDATE_DOCS=1 cargo test --test integration docs::"
    );
}

fn verdicts() -> String {
    let mut out = String::from("| function | code | reason | meaning |\n|---|---|---|---|\n");
    for function in FUNCTIONS {
        for (verdict, _) in function.verdicts {
            let row = verdict.entry();
            let name = function.name;
            writeln!(out, "| `{name}` | {} | `{}` | {} |", row.code, row.reason, row.meaning)
                .unwrap();
        }
    }
    out
}

#[test]
fn verdict_tables() {
    check("docs/reference.md", "verdicts", &verdicts());
}

/// Whoever looks up why a call was refused finds each reason for it.
#[test]
fn the_operators_guide_says_what_to_do_about_each_refusal_of_a_call() {
    let guide = fs::read_to_string(project("docs/operators.md")).unwrap();
    let table = guide.split("| reason | what to do |\n|---|---|\n").nth(1).unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let reasons = rows.map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let listed: Vec<_> = reasons.flatten().collect();
    for function in [&CHECK_COMPANY_IP, &ROADWARRIOR_ACQUIRE, &CC_LIMIT] {
        for (verdict, _) in function.verdicts.iter().filter(|(of, _)| of.code() < 0) {
            let reason = verdict.reason();
            assert_eq!(listed.iter().filter(|of| **of == reason).count(), 1, "{reason}");
        }
    }
    let verdicts = FUNCTIONS.iter().flat_map(|function| function.verdicts);
    let events = EventKind::ALL.map(EventKind::name);
    let known: Vec<_> = verdicts.map(|(of, _)| of.reason()).chain(events).collect();
    for reason in listed {
        assert!(known.contains(&reason), "{reason} is no reason");
    }
}

/// The README shows the route that is there to be changed, as the file has it.
#[test]
fn the_readme_shows_the_route_that_is_shipped() {
    let shipped = fs::read_to_string(project("kamailio-cfg/sipwarden.cfg")).unwrap();
    let route = &shipped[shipped.find("# Initial requests").unwrap()..];
    check("README.md", "route", &format!("```\n{route}```\n"));
}

/// What the README shows of the demo is what the demo says.
#[test]
fn the_readme_shows_the_demo() {
    let demo = fs::read_to_string(project("tools/demo.sh")).unwrap();
    let demo = demo.replace("$storm_companies", "100").replace("$workers", "32");
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let shown = readme.split("```").find(|block| block.contains("A storm:")).unwrap();
    for line in shown.lines().filter(|line| !line.starts_with("    ")) {
        let said = line.split(" ok:").next().unwrap().split(" round ").next().unwrap().trim();
        assert!(demo.contains(said), "{said}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let docs = fs::read_dir(project("docs")).unwrap().map(|entry| entry.unwrap().path());
    let top = ["README.md", "CHANGELOG.md", "SECURITY.md"].map(project);
    let mut seen = 0;
    for file in docs.chain(top).filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let name = link.split('#').next().unwrap();
            let elsewhere = name.is_empty() || name.contains("://");
            if !elsewhere {
                assert!(file.parent().unwrap().join(name).exists(), "{}: {link}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

/// A value of a text that is empty by default.
fn example_of(name: &str) -> &'static str {
    match name {
        "flood_persist" => "/var/lib/kamailio/sipwarden.blocks",
        "tables_file" => "/var/lib/kamailio/sipwarden.tables",
        "geoip_db" => "/var/lib/GeoIP/GeoLite2-Country.mmdb",
        "event_callback" => "ksr_sipwarden_event",
        "audit_url" => "mysql://sipwarden:secret@db.example/kamailio",
        "cluster_url" => "redis://:secret@10.0.0.5:6379/0",
        "cluster_node" => "proxy1",
        "cluster_sentinels" => "10.0.0.5:26379, 10.0.0.6:26379",
        "cluster_secret" => "a-long-text-of-your-own",
        _ => panic!("{name} needs an example"),
    }
}

/// The host's own default.
fn default_db_url() -> String {
    let shim = fs::read_to_string(project("c_shim/kamailio/shim.h")).unwrap();
    let (_, url) = shim.split_once("SW_DB_URL \"").unwrap();
    url.split('"').next().unwrap().to_owned()
}

#[test]
fn parameters() {
    let mut out = String::new();
    for param in &PARAMS {
        let text = |text: &std::ffi::CStr| text.to_str().unwrap().to_owned();
        let quoted = |value: String| format!("\"{value}\"");
        let (kind, default, example) = match param.kind {
            Kind::Int { default, min, max } => {
                (format!("integer, {min} to {max}"), default.to_string(), default.to_string())
            }
            Kind::Text { default, min: 0, max } if param.name == c"firewall" => (
                format!("text, up to {max} bytes"),
                quoted(text(default)),
                quoted("inet sipwarden".into()),
            ),
            Kind::Text { default, min: 0, max } => (
                format!("text, up to {max} bytes"),
                quoted(text(default)),
                quoted(example_of(&text(param.name)).into()),
            ),
            Kind::Text { default, min, max } => {
                (format!("text, {min} to {max} bytes"), text(default), quoted(text(default)))
            }
            Kind::Name { default } if default.is_empty() => {
                ("name of a table or view".into(), "".into(), quoted("sipwarden_limit".into()))
            }
            Kind::Database => {
                ("text, 1 to 1024 bytes".into(), default_db_url(), quoted(default_db_url()))
            }
            Kind::Name { default } => {
                ("name of a table or view".into(), text(default), quoted(text(default)))
            }
            Kind::Choice { default, words } => {
                (format!("one of {}", words.join(", ")), text(default), quoted(text(default)))
            }
            Kind::Duration { default } => {
                ("100ms to 3600s".into(), text(default), quoted("1500ms".into()))
            }
            Kind::Classes => (
                "text, given once per class; limit 1 to 65535, window 100ms to 3600s, blocks as \
                 `flood_block`"
                    .into(),
                "none".into(),
                quoted("carrier=limit:2000;window:2;block:0".into()),
            ),
            Kind::AuthClasses => (
                "text, given once per class; limit 1 to 65535, window 1 to 604800, block 1 to \
                 31536000, restart 0 to 65535"
                    .into(),
                "none".into(),
                quoted("office=limit:500;block:600".into()),
            ),
            Kind::Feeds => (
                "text, given once per feed; a name of up to 32 letters, digits, `_`, `-` and `.`, and \
                 a path that begins with `/`"
                    .into(),
                "none".into(),
                quoted("drop=/var/lib/sipwarden/drop.txt".into()),
            ),
            Kind::Class { default } => {
                ("`exempt` or a class".into(), text(default), quoted(text(default)))
            }
        };
        let change = match param.kind {
            _ if !param.runtime => "At start-up only.".to_owned(),
            Kind::Int { .. } => {
                format!("At run time: `kamcmd sipwarden.set {} N`.", text(param.name))
            }
            _ => format!("At run time: `kamcmd sipwarden.set {} TEXT`.", text(param.name)),
        };
        let (name, meaning) = (text(param.name), text(param.meaning));
        writeln!(
            out,
            "### {name}\n\n{meaning}\n\nType: {kind}. Default: `{default}`. {change}\n\n```\nmodparam(\"sipwarden\", \"{name}\", {example})\n```\n"
        )
        .unwrap();
    }
    check("docs/reference.md", "parameters", &out);
}

#[test]
fn events() {
    let mut out = String::from("| `$swd(event)` | attributes |\n|---|---|\n");
    for kind in EventKind::ALL {
        let names: Vec<_> = kind.attributes().iter().map(|name| format!("`{name}`")).collect();
        writeln!(out, "| `{}` | {} |", kind.name(), names.join(", ")).unwrap();
    }
    check("docs/reference.md", "events", &out);
}

#[test]
fn variables() {
    let mut out = String::from("| variable | meaning |\n|---|---|\n");
    for attribute in &ATTRIBUTES {
        writeln!(out, "| `$swd({})` | {} |", attribute.name, attribute.meaning).unwrap();
    }
    check("docs/reference.md", "variables", &out);
}

/// What a statistic counts that is not that of a verdict.
fn meaning_of(statistic: &str) -> &'static str {
    match statistic {
        "reloads" => "reloads that succeeded, the one at start-up too",
        "reload_failures" => "reloads that failed; the tables before stay in force",
        "calls_inbound" => "calls counted with flag `i`",
        "calls_outbound" => "calls counted with flag `o`",
        "emergency_uncounted" => "emergency calls that passed without being counted",
        "calls_resumed" => "calls that were answered after their slot had been given back",
        "leases_leaked" => "counted calls without a dialog, freed by the reaper: a fault of ours",
        "flood_blocks_started" => "blocks that began",
        "flood_blocks_ended" => "blocks that ended",
        "flood_throttlings" => "times that a source began to be throttled",
        "flood_evictions" => "sources forgotten for others while they still counted",
        "listed_passed" => {
            "requests of listed sources that were served, as they are trusted, authorized, granted or proven"
        }
        "feed_loads" => "feeds that were loaded",
        "feed_failures" => "files of feeds that were not; what they listed before stays in force",
        "listed_prefixes" => "prefixes that all feeds list together",
        "feeds_failing" => "feeds whose file is wrong or missing",
        "feed_age_seconds" => "seconds since the oldest file of a feed was written, 0 without one",
        "auth_bans_started" => "bans that began",
        "auth_bans_ended" => "bans that ended",
        "auth_evictions" => {
            "pairs of user and source forgotten for others while they still counted"
        }
        "grants_started" => "grants that began",
        "grants_ended" => "grants that ended",
        "host_name_changes" => "times that a host name has come to mean other addresses",
        "host_names_known" => "host names in the tables in force",
        "host_names_silent" => "of these, names for which the resolver does not answer",
        "audit_lost" => "rows that could not be kept for the audit table",
        "firewall_failures" => "failed attempts to feed the firewall's sets",
        "lock_waits" => "waits for a lock of another process that lasted longer than a second",
        "panics" => "faults of ours that were caught",
        "grants_active" => "grants in force",
        "grants_room" => "grants that there is room for, `grants`",
        "calls_active" => "counted calls",
        "calls_miscounted" => "counts that would have gone below zero: a fault of ours",
        "calls_room" => "calls that can be counted, `max_calls`",
        "blocks_active" => "blocks in force",
        "sources_known" => "sources in the table of flood control",
        "sources_room" => "sources that there is room for, `flood_sources`",
        "auth_bans_active" => "bans in force",
        "auth_known" => "pairs of user and source in the table of failures",
        "auth_room" => "pairs that there is room for, `auth_sources`",
        "snapshot_generation" => "number of the tables in force",
        "snapshot_age_seconds" => "seconds since they were loaded",
        "snapshot_bytes" => "their size",
        "country_networks" => "networks whose country is known",
        "firewall_on" => "1 while the firewall's sets are fed",
        "firewall_elements" => "elements in these sets",
        "gauges_left_out" => "companies, brands and scopes for which the metrics page had no room",
        "calls_expired" => "counted calls that ended without a BYE of theirs",
        "tables_kept" => "1 if `tables_file` keeps the tables in force",
        "tables_from_file" => "1 while the tables of `tables_file` are in force",
        "cluster_exact" => "1 while limits are those of all nodes of the cluster",
        "cluster_members" => "nodes that share their limits, this one too; 0 without a session",
        "cluster_claims" => "limits of scopes in which this node has slots",
        "cluster_sessions" => "sessions with the cluster since the start: one, if all is well",
        "cluster_timeouts" => "questions of SIP workers without an answer within `cluster_timeout`",
        "cluster_on" => "1 with `cluster_url`",
        "cluster_not_asked" => {
            "1 while SIP workers do not wait for the cluster's server, as it gave no answer"
        }
        "cluster_other_tables" => {
            "other nodes whose tables have differed from those here for two and a half minutes"
        }
        "events_lost" => "events for which there was no room, since the start",
        "sources_proven" => "sources that are proven",
        "budget_percent" => "percent of the budget of which most is spent, 0 without budgets",
        "spraying_known" => "sources whose failures count for spraying",
        "spraying_room" => "sources that there is room for, a quarter of `auth_sources`",
        "companies" => "companies in the tables in force",
        _ => panic!("{statistic} needs a meaning"),
    }
}

#[test]
fn statistics() {
    let mut out = String::from("| statistic | counts |\n|---|---|\n");
    let mut verdicts: Vec<_> = FUNCTIONS
        .iter()
        .flat_map(|function| function.verdicts.iter().map(move |counted| (function.name, counted)))
        .map(|(function, (verdict, name))| {
            let entry = verdict.entry();
            (*name, format!("`{function}` said `{}`: {}", entry.reason, entry.meaning))
        })
        .collect();
    for (name, gauge) in statistic_names() {
        let counted = verdicts.iter().position(|(known, _)| *known == name);
        let meaning = match counted {
            Some(at) => verdicts.swap_remove(at).1,
            None if gauge => format!("now: {}", meaning_of(name.to_str().unwrap())),
            None => meaning_of(name.to_str().unwrap()).into(),
        };
        writeln!(out, "| `sipwarden:{}` | {meaning} |", name.to_str().unwrap()).unwrap();
    }
    check("docs/reference.md", "statistics", &out);
}

/// Each parameter stands in the table of groups above them.
#[test]
fn parameters_are_grouped() {
    let reference = fs::read_to_string(project("docs/reference.md")).unwrap();
    let groups = &reference[..reference.find("<!-- begin parameters -->").unwrap()];
    for param in &PARAMS {
        let name = param.name.to_str().unwrap();
        assert!(groups.contains(&format!("[{name}](#{name})")), "{name} is in no group");
    }
}

#[test]
fn tables() {
    let mut out = String::from("| rows | columns |\n|---|---|\n");
    for table in Table::ALL {
        writeln!(out, "| {} | {} |", table.short_name(), table.columns().join(", ")).unwrap();
    }
    check("docs/reference.md", "tables", &out);
    for sql in ["sqlite", "mysql", "postgres"] {
        let file = format!("kamailio-cfg/sql/{sql}/sipwarden.sql");
        let text = fs::read_to_string(project(&file)).unwrap();
        for (table, param) in Table::ALL.iter().zip(&PARAMS[1..]) {
            let Kind::Name { default } = param.kind else { panic!("not a table") };
            let default = match default.to_str().unwrap() {
                "" if *table == Table::Tool => "sipwarden_tool",
                "" => "sipwarden_limit",
                default => default,
            };
            let at = text.find(&format!("CREATE TABLE IF NOT EXISTS {default} (")).expect(default);
            let body = &text[at..at + text[at..].find(';').unwrap()];
            for column in table.columns() {
                assert!(body.contains(&format!("\n    {column} ")), "{file}: {default}.{column}");
            }
        }
    }
}

#[test]
fn rpc_methods_are_described() {
    let reference = fs::read_to_string(project("docs/reference.md")).unwrap();
    let mut seen = 0;
    for method in rpc_methods() {
        let (name, arguments) = (method.name.to_str().unwrap(), method.synopsis());
        let (_, described) = reference
            .split_once(&format!("### sipwarden.{name}\n\n"))
            .unwrap_or_else(|| panic!("{name}"));
        let begins = if arguments.is_empty() { "" } else { &format!("`{arguments}`") };
        assert!(described.starts_with(begins), "{name} {arguments}");
        seen += 1;
    }
    assert!(seen >= 21, "{seen}");
}

#[test]
fn script_functions_are_described() {
    let shim = fs::read_to_string(project("c_shim/kamailio/functions.c")).unwrap();
    let reference = fs::read_to_string(project("docs/reference.md")).unwrap();
    let table = &shim[shim.find("cmd_export_t sw_functions[]").unwrap()..];
    let exports: Vec<Vec<_>> = table
        .lines()
        .filter_map(|l| l.trim().strip_prefix("SW_EXPORT")?.split_once('('))
        .map(|(_, l)| l.trim_start_matches('"'))
        .map(|l| l.split(", ").collect())
        .collect();
    assert!(exports.len() > 10, "{exports:?}");
    for export in exports {
        let (name, count) = (export[0].trim_end_matches('"'), export[2]);
        let described = reference
            .lines()
            .filter_map(|l| l.strip_prefix("### ")?.strip_prefix(name)?.strip_prefix('('))
            .map(|l| l.trim_end_matches(')').split(", ").filter(|p| !p.is_empty()).count());
        let described: Vec<_> = described.map(|n| n.to_string()).collect();
        assert!(described.iter().any(|n| n == count), "{name} with {count}: {described:?}");
    }
    for name in table
        .lines()
        .filter_map(|l| l.trim().strip_prefix("SW_KEMI("))
        .filter_map(|l| l.split(',').next())
    {
        assert!(reference.contains(&format!("KSR.sipwarden.{name}(")), "{name}");
    }
}

#[test]
fn settings_of_the_web_page_are_described() {
    let config = fs::read_to_string(project("kamailio-cfg/http.cfg")).unwrap();
    let reference = fs::read_to_string(project("docs/reference.md")).unwrap();
    let defines: Vec<_> =
        config.lines().filter_map(|line| line.strip_prefix("#!ifndef ")).collect();
    // What Kamailio defines for each module is no setting.
    let defines: Vec<_> = defines.into_iter().filter(|name| !name.starts_with("MOD_")).collect();
    assert!(defines.len() >= 4, "{defines:?}");
    let gauges: Vec<_> =
        config.lines().filter_map(|line| line.split("name=").nth(1)?.split(';').next()).collect();
    assert!(gauges.len() >= 4, "{gauges:?}");
    // The module that serves them puts its own name in front.
    let gauges = gauges.iter().map(|name| format!("kamailio_{name}"));
    for name in defines.iter().map(|name| (*name).to_owned()).chain(gauges) {
        assert!(reference.contains(&format!("`{name}`")), "{name}");
    }
}

/// Views, settings and switches that the guide names stand in the files beside it.
#[test]
fn the_guide_for_ivozprovider_names_what_is_shipped() {
    let folder = "kamailio-cfg/ivozprovider";
    let read = |file: &str| fs::read_to_string(project(file)).unwrap();
    let sql = read(&format!("{folder}/views.sql")) + &read(&format!("{folder}/grants.sql"));
    let names = ["users", "trunks", "common", "settings"];
    let configurations: String =
        names.map(|name| read(&format!("{folder}/sipwarden-{name}.cfg"))).concat();
    let guide = read("docs/ivozprovider.md");
    let words = guide.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut seen = 0;
    for word in words {
        let view = word.starts_with("sipwarden_");
        let define = word.starts_with("SIPWARDEN_");
        if view || define {
            let text = if view { &sql } else { &configurations };
            let theirs = ["sipwarden_dialogs_users", "sipwarden_dry_ctl"].contains(&word);
            assert!(text.contains(word) || theirs, "{word} is not shipped");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    for file in fs::read_dir(project(folder)).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(guide.contains(&format!("`{name}`")), "{name}");
    }
    // Every setting is in the file that is the operator's, and in the guide.
    let settings = read(&format!("{folder}/sipwarden-settings.cfg"));
    // These two the files define for one another.
    let own = ["SIPWARDEN_RELOAD_TIMER", "SIPWARDEN_ON_TRUNKS"];
    let asked = configurations.lines().filter(|line| line.starts_with("#!if"));
    let names = asked.map(|line| line.split(' ').nth(1).unwrap());
    for name in names.filter(|name| name.starts_with("SIPWARDEN_") && !own.contains(name)) {
        assert!(settings.contains(name), "{name} is not in the settings");
        assert!(guide.contains(name) || name.ends_with("_URL"), "{name}");
    }
}
