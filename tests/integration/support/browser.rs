//! A headless Chromium, driven through chromedriver.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::kamailio::{free_port, read_http, text};
use super::{Folder, wait_for};

/// Name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// For an answer. A busy machine takes long for a thousand RPCs.
const PATIENCE: Duration = Duration::from_secs(300);

/// One window; browser and driver end when it is dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Process of the browser, which is in no group of ours.
    process: i32,
    profile: Folder,
}

impl Browser {
    /// A window of this width and height.
    pub fn open(width: u32, height: u32) -> Self {
        let (profile, port) = (Folder::new(), free_port());
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("HOME", profile.path())
            .spawn()
            .expect("chromium-driver is installed by make test");
        let mut browser = Browser { driver, port, session: String::new(), process: 0, profile };
        wait_for("chromedriver", || browser.ask("GET", "/status", None).ok());
        let folder = browser.profile.join("profile");
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-quic".into(),
            "--disable-dev-shm-usage".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", folder.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": PATIENCE.as_millis() as u64},
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.ask("POST", "/session", Some(&wanted)).unwrap();
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser.process = session["capabilities"]["goog:processID"].as_i64().unwrap() as i32;
        browser
    }

    pub fn go(&self, address: &str) {
        self.post("/url", json!({ "url": address }));
    }

    /// What a function body returns; `arguments` are its own.
    pub fn script(&self, body: &str, arguments: Value) -> Value {
        self.post("/execute/sync", json!({"script": body, "args": arguments}))
    }

    /// As [`Browser::script`], for a function that returns a promise.
    pub fn wait_script(&self, body: &str) -> Value {
        let body = format!(
            "const done = arguments[0]; (async () => {{ {body} }})().then(done, e => done(String(e)));"
        );
        self.post("/execute/async", json!({"script": body, "args": []}))
    }

    /// What is seen of the elements, one text each.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let body = "return [...document.querySelectorAll(arguments[0])].map(e => \
            e.checkVisibility() ? e.innerText : '');";
        serde_json::from_value(self.script(body, json!([selector]))).unwrap()
    }

    /// What is seen of the first element, empty if there is none.
    pub fn text(&self, selector: &str) -> String {
        self.texts(selector).into_iter().next().unwrap_or_default()
    }

    /// The row of a table of which some cell is exactly this.
    pub fn row(&self, table: &str, cell: &str) -> Option<Vec<String>> {
        let body = "const row = [...document.querySelectorAll(arguments[0] + ' tbody tr')] \
            .find(r => [...r.cells].some(c => c.textContent === arguments[1])); \
            return row ? [...row.cells].map(c => c.textContent) : null;";
        serde_json::from_value(self.script(body, json!([table, cell]))).unwrap()
    }

    /// Clicks as a user does: the element must be there, visible and not covered.
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), json!({}));
    }

    /// Empties a field and types.
    pub fn fill(&self, selector: &str, keys: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/clear"), json!({}));
        self.post(&format!("/element/{element}/value"), json!({ "text": keys }));
    }

    /// Presses keys where the focus is.
    pub fn press(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let source = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("/actions", json!({ "actions": [source] }));
    }

    /// Errors and warnings of the page since the last call.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"}));
        let all = log.as_array().unwrap().iter().map(|entry| entry["message"].to_string());
        // The browser's own first page complains of a slow machine.
        all.filter(|message| !message.contains("chrome://")).collect()
    }

    /// Light or dark, and the size, as the browser's own tools set them.
    pub fn devtools(&self, command: &str, params: Value) {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": params}));
    }

    /// The window as a PNG file, in base64.
    pub fn screenshot(&self) -> String {
        let path = format!("/session/{}/screenshot", self.session);
        self.ask("GET", &path, None).unwrap().as_str().unwrap().to_owned()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", &format!("/session/{}{path}", self.session), Some(&body))
            .unwrap_or_else(|e| panic!("{path} {body}: {e}"))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream =
            TcpStream::connect_timeout(&address, Duration::from_secs(2)).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(text)?;
        let answer: Value = serde_json::from_slice(&read_http(&mut stream)?).map_err(text)?;
        match answer["value"].get("error") {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            if std::thread::panicking() {
                let path = format!("/session/{}/se/log", self.session);
                let log = self.ask("POST", &path, Some(&json!({"type": "browser"})));
                eprintln!("--- complaints of the page\n{log:?}");
            }
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // A browser that has not ended with its session; its children end with it.
        let command = std::fs::read(format!("/proc/{}/cmdline", self.process)).unwrap_or_default();
        let profile = self.profile.path().display().to_string();
        if self.process > 0 && String::from_utf8_lossy(&command).contains(&profile) {
            // SAFETY: a system call without memory.
            unsafe { libc::kill(self.process, libc::SIGKILL) };
        }
    }
}
