//! What an observer has seen of calls over several proxies, as lines of JSON: it can be saved,
//! read back and judged again. Times are microseconds since its start.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// What was true of the proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub nodes: u32,
    /// Calls at a time, by scope: its kind and its id.
    pub limits: BTreeMap<String, u32>,
    /// Scopes of which all slots must once be taken.
    pub full: Vec<String>,
    /// A slot that is free for longer than this must be given.
    pub late: u64,
    /// A silent node keeps its slots for so long, less one beat.
    pub dead: u64,
}

/// A call, or one that was refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    pub call: String,
    pub node: usize,
    pub scopes: Vec<String>,
    /// The first INVITE was sent.
    pub asked: u64,
    /// The final answer came.
    pub told: Option<u64>,
    /// What it was: `admitted`, or the reason of the refusal.
    pub verdict: String,
    /// Its INVITE first came to the callee.
    pub reached: Option<u64>,
    /// The reason with which the proxy let it pass, and the reason for its user's slot.
    pub passed: String,
    /// The caller has seen the callee's answer.
    pub answered: Option<u64>,
    /// The BYE was sent.
    pub bye: Option<u64>,
    /// The BYE was answered.
    pub gone: Option<u64>,
}

/// What a fault may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Verdicts come late, or the policy judges.
    Away,
    /// The same, and the other nodes may give the node up.
    Silent,
    /// The node's calls are gone at once.
    Dies,
    /// The server forgets what is claimed.
    Forgets,
    /// Nothing.
    Nothing,
}

const EFFECTS: [(Effect, &str); 5] = [
    (Effect::Away, "away"),
    (Effect::Silent, "silent"),
    (Effect::Dies, "dies"),
    (Effect::Forgets, "forgets"),
    (Effect::Nothing, "nothing"),
];

/// What was done to proxies or their server.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub what: String,
    pub effect: Effect,
    /// Nodes that die, or are silent.
    pub hit: Vec<usize>,
    /// Nodes whose verdicts it may change.
    pub nodes: Vec<usize>,
    pub from: u64,
    /// It was mended.
    pub healed: u64,
    /// All must be exact again.
    pub until: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub rules: Rules,
    pub attempts: Vec<Attempt>,
    pub faults: Vec<Fault>,
    /// When the machine did not let the proxies or the observer run.
    pub stalls: Vec<(u64, u64)>,
}

impl History {
    pub fn save(&self, path: &Path) {
        let Rules { nodes, limits, full, late, dead } = &self.rules;
        let rules =
            json!({"nodes": nodes, "limits": limits, "full": full, "late": late, "dead": dead});
        let mut lines = vec![json!({"rules": rules})];
        lines.extend(self.faults.iter().map(|fault| json!({"fault": of_fault(fault)})));
        lines.extend(self.stalls.iter().map(|stall| json!({"stall": [stall.0, stall.1]})));
        lines.extend(self.attempts.iter().map(|call| json!({"call": of_attempt(call)})));
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(path, text).unwrap();
    }

    pub fn read(path: &Path) -> Self {
        let mut history = History::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let (kind, value) = line.as_object().unwrap().iter().next().unwrap();
            match kind.as_str() {
                "rules" => history.rules = rules(value),
                "fault" => history.faults.push(fault(value)),
                "stall" => history.stalls.push((number(&value[0]), number(&value[1]))),
                "call" => history.attempts.push(attempt(value)),
                other => panic!("{}: {other}", path.display()),
            }
        }
        history
    }
}

fn of_fault(fault: &Fault) -> Value {
    let Fault { what, effect, hit, nodes, from, healed, until } = fault;
    let effect = EFFECTS.iter().find(|(known, _)| known == effect).unwrap().1;
    json!({"what": what, "effect": effect, "hit": hit, "nodes": nodes, "from": from,
        "healed": healed, "until": until})
}

fn fault(value: &Value) -> Fault {
    Fault {
        what: text(&value["what"]),
        effect: EFFECTS.iter().find(|(_, name)| value["effect"] == *name).unwrap().0,
        hit: numbers(&value["hit"]),
        nodes: numbers(&value["nodes"]),
        from: number(&value["from"]),
        healed: number(&value["healed"]),
        until: number(&value["until"]),
    }
}

fn of_attempt(call: &Attempt) -> Value {
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| all.insert(name.to_owned(), value);
    put("call", json!(call.call));
    put("node", json!(call.node));
    put("scopes", json!(call.scopes));
    put("asked", json!(call.asked));
    put("verdict", json!(call.verdict));
    put("passed", json!(call.passed));
    let times = [
        ("told", call.told),
        ("reached", call.reached),
        ("answered", call.answered),
        ("bye", call.bye),
        ("gone", call.gone),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            put(name, json!(time));
        }
    }
    all.into()
}

fn attempt(value: &Value) -> Attempt {
    Attempt {
        call: text(&value["call"]),
        node: number(&value["node"]) as usize,
        scopes: texts(&value["scopes"]),
        asked: number(&value["asked"]),
        told: value["told"].as_u64(),
        verdict: text(&value["verdict"]),
        reached: value["reached"].as_u64(),
        passed: text(&value["passed"]),
        answered: value["answered"].as_u64(),
        bye: value["bye"].as_u64(),
        gone: value["gone"].as_u64(),
    }
}

fn rules(value: &Value) -> Rules {
    let limits = value["limits"].as_object().unwrap().iter();
    Rules {
        nodes: number(&value["nodes"]) as u32,
        limits: limits.map(|(scope, limit)| (scope.clone(), number(limit) as u32)).collect(),
        full: texts(&value["full"]),
        late: number(&value["late"]),
        dead: number(&value["dead"]),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|n| number(n) as usize).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}
