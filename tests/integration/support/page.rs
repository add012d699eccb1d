//! The example configuration with the operators' page.

use super::Folder;
use super::callee::AutoCallee;
use super::example::Example;
use super::kamailio::free_port;
use super::sqlite::Sqlite;

/// The example, with the page, for a platform whose ids come from headers.
pub struct Server {
    pub example: Example,
    /// Port of the page.
    pub http: u16,
    _gateway: AutoCallee,
    _folder: Folder,
}

impl Server {
    /// Starts with the tables that this SQL fills.
    pub fn start(tables: &str) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(tables);
        let gateway = AutoCallee::start("127.0.0.99");
        let http = free_port();
        let defines = [
            ("WITH_HTTP", "1".into()),
            ("HTTP_PORT", http.to_string()),
            ("LIMIT_TABLE", "\"sipwarden_limit\"".into()),
            ("FLOOD_UNPROVEN", "\"block\"".into()),
        ];
        let edits = [
            ("$avp(company) = $(fd{s.tolower});", "$avp(company) = $hdr(X-Company);"),
            ("\"$fU@$(fd{s.tolower})\"", "\"$hdr(X-User)\""),
            (
                "\"carrier=gateway;number=$(rU{s.select,0,;});user=$(fU{s.select,0,;})@$(fd{s.tolower}{s.select,0,;})\"",
                "\"$hdr(X-Scopes)\"",
            ),
        ];
        let example = Example::start_with(&db, gateway.address, &defines, &edits);
        Server { example, http, _gateway: gateway, _folder: folder }
    }

    pub fn page(&self) -> String {
        format!("http://127.0.0.1:{}/", self.http)
    }

    /// What `kamcmd sipwarden.blocks` says.
    pub fn blocks(&self) -> String {
        self.example.kamcmd(&["sipwarden.blocks"])
    }
}

/// The headers that say whose user sends.
pub fn headers(company: &str, user: &str) -> String {
    format!("X-Company: {company}\r\nX-User: {user}\r\n")
}
