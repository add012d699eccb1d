//! Drivers of databases that are not supported. What else stops the start is in tests/hosts.

use crate::hosts::startup::{modparam, one_company};
use crate::support::Folder;
use crate::support::kamailio::Config;

#[test]
fn a_scheme_that_is_not_supported_stops_the_start() {
    let folder = Folder::new();
    let db = one_company(&folder);
    let mut config = Config::new(&db.url());
    config.modules.push_str("loadmodule \"db_cluster.so\"\nloadmodule \"db_text.so\"\n");
    config.modules.push_str(&format!(
        "modparam(\"db_cluster\", \"connection\", \"one=>{}\")\n\
         modparam(\"db_cluster\", \"cluster\", \"all=>one=1r1r\")\n",
        db.url()
    ));
    let url = config.db_url.clone();
    for (scheme, instead) in [
        ("cluster://all", "a TCP proxy before them"),
        ("text:///var/lib", "import the files into SQLite"),
        ("unixodbc://u:secret@h/x", "name a database of one of these"),
        ("/var/lib/x.sqlite", "name a database of one of these"),
    ] {
        config.db_url = scheme.into();
        let log = config.fail_to_start();
        let named = scheme.split(':').next().unwrap();
        let said = format!("parameter db_url: \"{named}\" is not supported, but sqlite, mysql");
        assert!(log.contains(&said) && log.contains(instead) && !log.contains("secret"), "{log}");
    }
    config.db_url = url;
    let audit = config.settings(&modparam("audit_url", "\"cluster://all\"")).fail_to_start();
    assert!(audit.contains("parameter audit_url: \"cluster\" is not supported"), "{audit}");
}
