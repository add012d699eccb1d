//! The script that tells an operator whether all of sipwarden's lines are in place.

use std::fs;
use std::process::Command;

use crate::support::merge::{self, calls};
use crate::support::{Folder, project};

/// Both configurations with all lines, as files to spoil.
struct Merged(Folder);

impl Merged {
    fn new() -> Self {
        Merged::with(&[])
    }

    /// With more settings; `PROXY` in them is the name of either.
    fn with(more: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        for proxy in ["users", "trunks"] {
            fs::create_dir(folder.join(proxy)).unwrap();
            let settings = merge::settings("mysql://a:b@h/s", "mysql://c:d@h/s", false, more);
            let settings = settings.replace("PROXY", proxy);
            merge::install(proxy, &folder.join(proxy), &settings);
        }
        Merged(folder)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }

    fn edit(&self, name: &str, old: &str, new: &str) -> &Self {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(self.file(name), text.replacen(old, new, 1)).unwrap();
        self
    }

    /// What the script says, and its exit status.
    fn check(&self) -> (String, i32) {
        let script = project().join("kamailio-cfg/ivozprovider/check-merge");
        let files = ["users/kamailio.cfg", "trunks/kamailio.cfg"].map(|name| self.file(name));
        let out = Command::new("sh").arg(script).args(files).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        (said.replace(&self.0.path().display().to_string(), ""), out.status.code().unwrap())
    }

    /// The one complaint.
    fn complains(&self, expected: &str) {
        let (said, status) = self.check();
        let complaints: Vec<_> = said
            .lines()
            .filter(|line| !line.contains(" ok ") && !line.contains(" note "))
            .collect();
        assert!(complaints.iter().any(|line| line.contains(expected)), "{expected}\n{said}");
        assert_eq!((status, complaints.len()), (1, 1), "{said}");
    }
}

const USERS: &str = "users/kamailio.cfg";
const TRUNKS: &str = "trunks/kamailio.cfg";

#[test]
fn a_merge_by_the_guide_is_all_in_place() {
    let merged = Merged::new();
    let (said, status) = merged.check();
    assert_eq!(status, 0, "{said}");
    assert_eq!(
        said.matches(" ok ").count(),
        calls("users").len() + calls("trunks").len(),
        "{said}"
    );
    assert!(said.ends_with("all in place\n"), "{said}");
}

/// Every setting that is shipped with a `#` before it, as an operator may set them.
#[test]
fn a_merge_with_every_setting_is_all_in_place() {
    let path = project().join("kamailio-cfg/ivozprovider/sipwarden-settings.cfg");
    let shipped = fs::read_to_string(path).unwrap();
    let lines = shipped.lines().filter_map(|line| line.strip_prefix("##!define "));
    let text: Vec<_> = lines
        .map(|line| line.replace("dialogs_users", "dialogs_PROXY").replace("change-me", "secret"))
        .collect();
    assert!(text.len() > 10);
    let settings = text.iter().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let merged = Merged::with(&settings.collect::<Vec<_>>());
    let (said, status) = merged.check();
    assert_eq!(status, 0, "{said}");
    assert_eq!(said.matches("ok       /").count() - said.matches("HTTP").count(), 12, "{said}");
}

#[test]
fn a_page_that_nobody_serves_is_named() {
    let line = "\troute(SIPWARDEN_HTTP);\n";
    for file in [USERS, TRUNKS] {
        let page = || Merged::with(&[("SIPWARDEN_PAGE", "")]);
        let merged = page();
        merged.edit(file, line, "");
        merged.complains("MISSING  route(SIPWARDEN_HTTP)");
        let merged = page();
        merged.edit(file, line, &format!("#!ifdef NEVER\n{line}#!endif\n"));
        merged.complains("route(SIPWARDEN_HTTP) is left out by an #!ifdef");
        let merged = page();
        merged.edit(file, line, "").edit(
            file,
            "jsonrpc_dispatch();\n\t}\n",
            &format!("jsonrpc_dispatch();\n\t}}\n{line}"),
        );
        merged.complains("route(SIPWARDEN_HTTP) has to be the first line");
        let merged = page();
        fs::remove_file(merged.file(file).with_file_name("http.cfg")).unwrap();
        merged.complains("http.cfg is not there");
    }
}

#[test]
fn settings_that_do_nothing_or_harm_are_named() {
    let only = |merged: &Merged, proxy: &str, expected: &str| {
        let (said, status) = merged.check();
        let line = said.lines().find(|line| line.contains(expected));
        assert!(status == 1 && line.is_some_and(|line| line.starts_with(proxy)), "{said}");
    };
    let slip = Merged::with(&[("SIPWARDEN_TABLE_FILE", "\"/x\"")]);
    only(&slip, "users", "SIPWARDEN_TABLE_FILE is not a setting");
    let url = |name: &str, password: &str| {
        format!("\"mysql://sipwarden_dialogs:{password}@h/sipwarden_dialogs_{name}\"")
    };
    let shipped = Merged::with(&[("SIPWARDEN_DIALOG_DB_URL", &url("PROXY", "change-me-as-well"))]);
    only(&shipped, "users", "SIPWARDEN_DIALOG_DB_URL still has the shipped password");
    let one = Merged::with(&[("SIPWARDEN_DIALOG_DB_URL", &url("users", "x"))]);
    only(&one, "trunks", "SIPWARDEN_DIALOG_DB_URL is the database of users");
}

#[test]
fn every_line_that_is_missing_or_commented_out_is_named() {
    for proxy in ["users", "trunks"] {
        for call in calls(proxy) {
            let file = format!("{proxy}/kamailio.cfg");
            let merged = Merged::new();
            merged.edit(&file, &format!("\n{}\n", call.line), "\n");
            let (said, status) = merged.check();
            assert_eq!(status, 1);
            let line = call.line.trim_end_matches(';');
            let missing = said.lines().any(|l| l.contains("MISSING") && l.contains(line));
            assert!(missing, "{line}\n{said}");
            let merged = Merged::new();
            merged.edit(&file, &format!("\n{}\n", call.line), &format!("\n\t# {}\n", call.line));
            assert!(merged.check().0.contains("MISSING"), "{line}");
        }
    }
}

#[test]
fn what_is_out_of_order_or_left_out_is_named() {
    let filter = "if (route(SIPWARDEN_FILTER)) return;\n";
    let merged = Merged::new();
    merged.edit(USERS, filter, "").edit(
        USERS,
        "\t$rU = \"ipnotallowed\";\n",
        &format!("\t{filter}"),
    );
    merged.complains("ORDER    /users/kamailio.cfg:");
    let merged = Merged::new();
    merged.edit(USERS, filter, "").edit(
        USERS,
        "route[REGISTER] {\n",
        &format!("route[REGISTER] {{\n{filter}"),
    );
    merged.complains("is in route[REGISTER], not in route[FILTER_BY_SRC_ADDR]");
    let merged = Merged::new();
    merged.edit(USERS, "route(SIPWARDEN_AUTH_OK);\n", "").edit(
        USERS,
        "route[AUTH] {\n",
        "route[AUTH] {\nroute(SIPWARDEN_AUTH_OK);\n",
    );
    merged.complains("has to be after the line with consume_credentials()");
    let merged = Merged::new();
    let limit = "if (route(SIPWARDEN_MAX_CALLS)) return;\n";
    merged.edit(TRUNKS, limit, "").edit(
        TRUNKS,
        "route[CONTROL_MAXCALLS] {\n",
        &format!("route[CONTROL_MAXCALLS] {{\n{limit}"),
    );
    merged.complains("has to be after the line with unassigned");
    let merged = Merged::new();
    merged.edit(USERS, filter, &filter.repeat(2));
    merged.complains("stands 2 times");
    // Flood control, of which Kamailio itself would say nothing.
    let merged = Merged::new();
    merged.edit(USERS, "#!define WITH_ANTIFLOOD\n", "");
    merged.complains("OFF      /users/kamailio.cfg:");
    let merged = Merged::new();
    let text = fs::read_to_string(merged.file(TRUNKS)).unwrap();
    fs::write(merged.file(TRUNKS), text.replace("\troute(ANTIFLOOD);\n", "")).unwrap();
    merged.complains("flood control is never asked");
}

#[test]
fn modules_variables_and_what_must_stay_are_looked_at() {
    let merged = Merged::new();
    merged.edit(
        USERS,
        "loadmodule \"rtimer.so\"\n",
        "loadmodule \"rtimer.so\"\nloadmodule \"/usr/lib/x/sipwarden.so\"\n",
    );
    merged.complains("module sipwarden is loaded already");
    let merged = Merged::new();
    merged.edit(TRUNKS, "loadmodule \"rtimer.so\"\n", "");
    merged.complains("module rtimer is not loaded");
    let merged = Merged::new();
    merged
        .edit(USERS, "$avp(companyId) = $dbr(info=>[0,0]);", "$avp(company) = $dbr(info=>[0,0]);")
        .edit(USERS, "$avp(companyId) = $avp(wholesaleId);", "$avp(company) = $avp(wholesaleId);");
    merged.complains("$avp(companyId) is set nowhere");
    let merged = Merged::new();
    merged.edit(TRUNKS, "activeCallsCompany; activeCallsBrand; ", "activeCallsBrand; ");
    merged.complains("dialog profile activeCallsCompany has to stay");
    let merged = Merged::new();
    merged.edit(
        "users/sipwarden-settings.cfg",
        "mysql://a:b@h/s",
        "mysql://sipwarden:change-me@h/s",
    );
    merged.complains("SIPWARDEN_DB_URL still has the shipped password");
    let merged = Merged::new();
    fs::remove_file(merged.file("trunks/sipwarden-common.cfg")).unwrap();
    assert!(merged.check().0.contains("sipwarden-common.cfg is not there"));
    fs::remove_file(merged.file(TRUNKS)).unwrap();
    let (said, status) = merged.check();
    assert_eq!(status, 2);
    assert!(said.contains("cannot be read"), "{said}");
}
