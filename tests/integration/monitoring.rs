//! Alert rules and dashboard ask for what a real Prometheus finds on the metrics page.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sipwarden::verdict::{CC_LIMIT, CHECK_COMPANY_IP, ROADWARRIOR_ACQUIRE};

use crate::docs::check;
use crate::support::call::{Caller, Endpoint};
use crate::support::page::{Server, headers};
use crate::support::prometheus::Prometheus;
use crate::support::{Folder, project, wait_up_to};

/// More than a round of the gauges.
const PATIENCE: Duration = Duration::from_secs(60);

fn rules_file() -> String {
    std::fs::read_to_string(project().join("monitoring/alerts.yml")).unwrap()
}

/// The names of our metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c)).filter(|w| w.starts_with("kamailio_sipwarden_"));
    words.map(str::to_owned).collect()
}

/// The expressions of the dashboard, as Grafana sends them, with the titles of their panels.
fn dashboard() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(project().join("monitoring/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let of = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (title.clone(), target))
    };
    let sent = |target: &Value| {
        let expr = target["expr"].as_str().unwrap();
        expr.replace("$instance", ".*").replace("$__rate_interval", "1m")
    };
    panels.iter().flat_map(of).map(|(title, target)| (title, sent(&target))).collect()
}

/// The names of our metrics in the panels whose titles have this in it.
fn drawn(title: &str) -> BTreeSet<String> {
    let panels = dashboard().into_iter().filter(|(of, _)| of.contains(title));
    panels.flat_map(|(_, expr)| metrics(&expr)).collect()
}

#[test]
fn the_dashboard_draws_each_refusal_of_a_call_and_each_kind_of_limit() {
    let refusals = drawn("refused");
    for function in [&CHECK_COMPANY_IP, &ROADWARRIOR_ACQUIRE, &CC_LIMIT] {
        for (verdict, statistic) in function.verdicts.iter().filter(|(of, _)| of.code() < 0) {
            let metric = format!("kamailio_sipwarden_{}", statistic.to_str().unwrap());
            assert!(refusals.contains(&metric), "{}: {metric}", verdict.reason());
        }
    }
    // Each gauge of the page that is a limit, against its calls.
    let served = std::fs::read_to_string(project().join("kamailio-cfg/http.cfg")).unwrap();
    let near = drawn("near their limits");
    let limits = served.split("name=").skip(1).filter_map(|rest| rest.split(';').next());
    let limits: Vec<_> = limits.filter_map(|name| name.strip_suffix("_limit")).collect();
    assert!(limits.len() > 2, "{limits:?}");
    for of in limits {
        for metric in ["calls", "limit"].map(|what| format!("kamailio_{of}_{what}")) {
            assert!(near.contains(&metric), "{metric}");
        }
    }
}

#[test]
fn every_query_of_rules_and_dashboard_finds_something() {
    let server = Server::start(
        "INSERT INTO sipwarden_brand VALUES ('1', 100);
         INSERT INTO sipwarden_company VALUES ('7', '1', 0, 10);
         INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('carrier', 'x', 10);",
    );
    let endpoint = Endpoint::new("127.0.0.1");
    let lines = headers("7", "alice@7") + "X-Scopes: carrier=x\r\n";
    let mut call = Caller::new(&endpoint, server.example.address(), "7", &lines);
    call.invite();
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();

    let prometheus = Prometheus::start(server.http);
    let queries = dashboard();
    assert!(queries.len() > 30, "{queries:?}");
    for (_, query) in &queries {
        wait_up_to(PATIENCE, query, || {
            prometheus.query(query).is_ok_and(|found| !found.is_empty()).then_some(())
        });
    }
    for metric in metrics(&rules_file()) {
        let found = prometheus.query(&metric).unwrap();
        assert!(!found.is_empty(), "{metric} is in no metric of the page");
    }
    let rules = wait_up_to(PATIENCE, "the rules to be judged", || {
        let rules = prometheus.rules().ok()?;
        (!rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok")).then_some(rules)
    });
    for rule in &rules {
        assert_eq!(rule["state"], "inactive", "a proxy without a fault: {rule}");
    }
}

/// A series of each metric, as a proxy without trouble has it for half an hour.
const HEALTHY: [(&str, &str); 56] = [
    ("companies", "40x30"),
    ("reload_failures", "1x30"),
    ("tables_from_file", "0x30"),
    ("panics", "0x30"),
    ("leases_leaked", "0x30"),
    ("calls_miscounted", "0x30"),
    ("lock_waits", "0x30"),
    ("cc_ledger_full", "0x30"),
    ("roadwarrior_ledger_full", "0x30"),
    ("calls_active", "500x30"),
    ("calls_room", "1000x30"),
    ("emergency_uncounted", "3x30"),
    ("cc_unknown_company", "2x30"),
    ("check_unknown_company", "0x30"),
    ("roadwarrior_unknown_company", "0x30"),
    ("flood_unproven", "0x30"),
    ("flood_untracked", "0x30"),
    ("auth_failed_untracked", "0x30"),
    ("blocks_active", "20x30"),
    ("auth_bans_active", "20x30"),
    ("firewall_failures", "1x30"),
    ("firewall_on", "1x30"),
    ("audit_lost", "0x30"),
    ("events_lost", "0x30"),
    ("company_calls{company='7'}", "8x30"),
    ("company_limit{company='7'}", "10x30"),
    ("company_near{company='7'}", "9x30"),
    ("company_calls{company='8'}", "50x30"),
    ("company_limit{company='8'}", "0x30"),
    ("company_near{company='8'}", "0x30"),
    ("brand_calls{brand='1'}", "8x30"),
    ("brand_limit{brand='1'}", "10x30"),
    ("brand_near{brand='1'}", "9x30"),
    ("brand_calls{brand='2'}", "10x30"),
    ("brand_limit{brand='2'}", "10x30"),
    ("brand_near{brand='2'}", "0x30"),
    ("scope_calls{kind='did',id='7',direction='in'}", "1x30"),
    ("scope_limit{kind='did',id='7',direction='in'}", "10x30"),
    ("scope_near{kind='did',id='7',direction='in'}", "9x30"),
    ("scope_calls{kind='did',id='8',direction='any'}", "50x30"),
    ("scope_limit{kind='did',id='8',direction='any'}", "0x30"),
    ("scope_near{kind='did',id='8',direction='any'}", "0x30"),
    ("calls_expired", "30x30"),
    ("gauges_left_out", "0x30"),
    ("feeds_failing", "0x30"),
    ("feed_age_seconds", "90000x30"),
    ("cluster_on", "1x30"),
    ("cluster_exact", "1x30"),
    ("cluster_members", "2x30"),
    ("cluster_timeouts", "5x30"),
    ("cluster_not_asked", "0x30"),
    ("cluster_other_tables", "0x30"),
    ("cc_call_counted_alone", "3x30"),
    ("roadwarrior_counted_alone", "0x30"),
    ("cc_cluster_down", "0x30"),
    ("roadwarrior_cluster_down", "0x30"),
];

/// What makes each alert fire, alone: alert, metric, its values. Counters grow in the
/// sixteenth minute.
const FIRES: [(&str, &str, &str); 40] = [
    ("SipwardenNoCompanies", "companies", "0x30"),
    ("SipwardenReloadFails", "reload_failures", "1x15 2x15"),
    ("SipwardenTablesFromFile", "tables_from_file", "1x30"),
    ("SipwardenFault", "panics", "0x15 1x15"),
    ("SipwardenFault", "leases_leaked", "0x15 1x15"),
    ("SipwardenFault", "calls_miscounted", "1x30"),
    ("SipwardenLockWaits", "lock_waits", "0x15 1x15"),
    ("SipwardenCallsFull", "cc_ledger_full", "0x15 1x15"),
    ("SipwardenCallsFull", "roadwarrior_ledger_full", "0x15 1x15"),
    ("SipwardenCallsFull", "calls_active", "901x30"),
    ("SipwardenEmergencyUncounted", "emergency_uncounted", "3x15 4x15"),
    ("SipwardenUnknownCompany", "cc_unknown_company", "2x15 8x15"),
    ("SipwardenUnknownCompany", "check_unknown_company", "0x15 6x15"),
    ("SipwardenUnknownCompany", "roadwarrior_unknown_company", "0x15 6x15"),
    ("SipwardenSourcesFull", "flood_untracked", "0x15 1x15"),
    ("SipwardenSourcesFull", "auth_failed_untracked", "0x15 1x15"),
    ("SipwardenManyBlocks", "blocks_active", "51x30"),
    ("SipwardenFlood", "flood_unproven", "0+6000x30"),
    ("SipwardenManyBans", "auth_bans_active", "51x30"),
    ("SipwardenFirewallFails", "firewall_failures", "1x15 2x15"),
    ("SipwardenFirewallOff", "firewall_on", "1x10 0x20"),
    ("SipwardenRecordsLost", "audit_lost", "0x15 1x15"),
    ("SipwardenRecordsLost", "events_lost", "0x15 1x15"),
    ("SipwardenCompanyNearLimit", "company_calls{company='7'}", "9x30"),
    ("SipwardenCompanyNearLimit", "company_near{company='7'}", "8x30"),
    ("SipwardenBrandNearLimit", "brand_calls{brand='1'}", "9x30"),
    ("SipwardenScopeNearLimit", "scope_calls{kind='did',id='7',direction='in'}", "9x30"),
    ("SipwardenCallsExpire", "calls_expired", "30x15 51x15"),
    ("SipwardenGaugesLeftOut", "gauges_left_out", "1x30"),
    ("SipwardenFeedFails", "feeds_failing", "1x30"),
    ("SipwardenFeedOld", "feed_age_seconds", "200000x30"),
    ("SipwardenClusterCutOff", "cluster_exact", "0x30"),
    ("SipwardenClusterProxyMissing", "cluster_members", "2x10 1x20"),
    ("SipwardenClusterSlow", "cluster_timeouts", "5x15 30x15"),
    ("SipwardenClusterSlow", "cluster_not_asked", "1x30"),
    ("SipwardenClusterAlone", "cc_call_counted_alone", "3x15 4x15"),
    ("SipwardenClusterAlone", "roadwarrior_counted_alone", "0x15 1x15"),
    ("SipwardenClusterAlone", "cc_cluster_down", "0x15 1x15"),
    ("SipwardenClusterAlone", "roadwarrior_cluster_down", "0x15 1x15"),
    ("SipwardenClusterTables", "cluster_other_tables", "1x30"),
];

/// Alerts are quiet without a cluster.
const ALONE: [(&str, &str); 3] =
    [("cluster_on", "0x30"), ("cluster_exact", "0x30"), ("cluster_members", "0x30")];

/// A test for promtool: which alerts fire in minute 18 with these series.
fn rule_test(series: &[(&str, &str)], fires: &str, alerts: &[String]) -> String {
    let mut out = String::from("  - interval: 1m\n    input_series:\n");
    for (metric, values) in series {
        writeln!(out, "      - {{series: \"kamailio_sipwarden_{metric}\", values: '{values}'}}")
            .unwrap();
    }
    // promtool compares all labels and annotations: the alerts themselves are a series.
    out.push_str("    promql_expr_test:\n");
    for alert in alerts {
        let samples = match alert == fires {
            true => "[{labels: '{}', value: 1}]",
            false => "[]",
        };
        let expr = format!("group(ALERTS{{alertname='{alert}', alertstate='firing'}})");
        writeln!(out, "      - {{expr: \"{expr}\", eval_time: 18m, exp_samples: {samples}}}")
            .unwrap();
    }
    out
}

#[test]
fn each_alert_fires_for_its_trouble_only() {
    let file = rules_file();
    let alerts: Vec<String> = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .map(str::to_owned)
        .collect();
    let mut tests = rule_test(&HEALTHY, "none", &alerts);
    let of_alone = |metric| ALONE.iter().find(|(alone, _)| *alone == metric);
    let alone = HEALTHY.map(|(metric, values)| *of_alone(metric).unwrap_or(&(metric, values)));
    tests += &rule_test(&alone, "none", &alerts);
    let without: Vec<_> = HEALTHY.iter().copied().filter(|(m, _)| *m != "companies").collect();
    tests += &rule_test(&without, "SipwardenAbsent", &alerts);
    for (alert, metric, values) in FIRES {
        let mut series = HEALTHY;
        let changed = series.iter_mut().find(|(name, _)| *name == metric).unwrap();
        changed.1 = values;
        tests += &rule_test(&series, alert, &alerts);
    }
    for alert in alerts.iter().filter(|alert| *alert != "SipwardenAbsent") {
        assert!(FIRES.iter().any(|(tried, ..)| tried == alert), "{alert} is not tried");
    }
    let folder = Folder::new();
    let rules = project().join("monitoring/alerts.yml");
    let text = format!(
        "rule_files: [\"{}\"]\nevaluation_interval: 1m\ntests:\n{tests}",
        rules.to_str().unwrap()
    );
    std::fs::write(folder.join("tests.yml"), text).unwrap();
    let done =
        Command::new("promtool").args(["test", "rules"]).arg(folder.join("tests.yml")).output();
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

/// The guide's table is made of the rules.
#[test]
fn the_guide_lists_the_alerts() {
    let mut table =
        String::from("| alert | severity | what is wrong | what to do |\n|---|---|---|---|\n");
    for rule in rules_file().split("- alert: ").skip(1) {
        let field = |name: &str| {
            let line = rule.lines().find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {rule}")).trim_matches([' ', '"', '}'])
        };
        let name = rule.lines().next().unwrap();
        let summary = field("summary:").replace("{{ $labels.company }}", "*X*");
        let summary = summary.replace("{{ $labels.brand }}", "*X*").replace("{{ $value }}", "*N*");
        let summary = ["kind", "id", "direction"].iter().fold(summary, |text, label| {
            text.replace(&format!("{{{{ $labels.{label} }}}}"), &format!("*{label}*"))
        });
        let severity = field("labels: {severity:");
        writeln!(table, "| `{name}` | {severity} | {summary} | {} |", field("action:")).unwrap();
    }
    check("docs/monitoring.md", "alerts", &table);
}
