//! A real Prometheus that reads the metrics page of a real Kamailio.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::guide::block;
use super::kamailio::free_port;
use super::{Folder, project};

pub struct Prometheus {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Prometheus {
    /// With the guide's lines, for the page at this port, and each second.
    pub fn start(http: u16) -> Self {
        let folder = Folder::new();
        let port = free_port();
        let rules = project().join("monitoring/alerts.yml");
        let lines = block("monitoring.md", "prometheus");
        let mut config = String::from("global:\n  evaluation_interval: 1s\n") + &lines;
        for (shown, here) in [
            ("/etc/prometheus/sipwarden.yml", rules.to_str().unwrap()),
            ("127.0.0.1:8060", &format!("127.0.0.1:{http}")),
            ("15s", "1s"),
        ] {
            assert!(config.contains(shown), "{shown} is not in the guide: {lines}");
            config = config.replace(shown, here);
        }
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let child = Command::new("prometheus")
            .arg("--config.file")
            .arg(folder.join("prometheus.yml"))
            .arg("--storage.tsdb.path")
            .arg(folder.join("data"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        Prometheus { child, port, _folder: folder }
    }

    /// The data of an answer of its API.
    fn get(&self, path: &str) -> Result<Value, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(text)?;
        let head = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(head.as_bytes()).map_err(text)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(text)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        let answer: Value =
            serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
        match answer["status"] == "success" {
            true => Ok(answer["data"].clone()),
            false => Err(answer["error"].to_string()),
        }
    }

    /// The samples that it has for an expression now.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.get(&format!("query?query={encoded}"))?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// Its alert rules.
    pub fn rules(&self) -> Result<Vec<Value>, String> {
        let data = self.get("rules")?;
        let groups = data["groups"].as_array().cloned().unwrap_or_default();
        Ok(groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
