//! An RPC call: its arguments, and the reply as it is built.

use std::collections::VecDeque;

use serde_json::{Map, Value};

/// What a host has for an argument.
pub enum Given {
    Text(String),
    Doubtful(String),
    Unusable,
}

/// A structure or an array, and what it has so far.
struct Node {
    is_array: bool,
    entries: Vec<(String, Entry)>,
}

enum Entry {
    Value(Value),
    Node(usize),
}

#[derive(Default)]
pub struct Rpc {
    arguments: VecDeque<(Option<String>, Given)>,
    /// Texts of the argument that was asked for last.
    pub current: [String; 2],
    nodes: Vec<Node>,
    pub fault: Option<(i32, String)>,
}

impl Rpc {
    /// A list gives arguments by position, an object by name.
    pub fn new(params: &Value) -> Self {
        let given = |value: &Value| match value {
            Value::String(text) => Given::Text(text.clone()),
            Value::Number(number) if number.as_u64() == Some(0) => Given::Doubtful("0".into()),
            Value::Number(number) if number.is_u64() => Given::Text(number.to_string()),
            _ => Given::Unusable,
        };
        let arguments = match params {
            Value::Array(list) => list.iter().map(|value| (None, given(value))).collect(),
            Value::Object(map) => {
                map.iter().map(|(name, value)| (Some(name.clone()), given(value))).collect()
            }
            _ => VecDeque::new(),
        };
        Rpc { arguments, ..Rpc::default() }
    }

    pub fn next(&mut self) -> Option<(Option<String>, Given)> {
        self.arguments.pop_front()
    }

    /// Begins a structure or an array in another, or the reply; its number.
    pub fn open(&mut self, parent: Option<usize>, name: String, is_array: bool) -> usize {
        self.nodes.push(Node { is_array, entries: Vec::new() });
        let number = self.nodes.len() - 1;
        if let Some(parent) = parent {
            self.nodes[parent].entries.push((name, Entry::Node(number)));
        }
        number
    }

    pub fn add(&mut self, parent: usize, name: String, value: Value) {
        self.nodes[parent].entries.push((name, Entry::Value(value)));
    }

    /// The reply, or the fault.
    pub fn answer(self) -> Result<Value, (i32, String)> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if self.nodes.is_empty() => Ok(Value::Null),
            None => Ok(self.value(0)),
        }
    }

    fn value(&self, number: usize) -> Value {
        let node = &self.nodes[number];
        let value = |entry: &Entry| match entry {
            Entry::Value(value) => value.clone(),
            Entry::Node(inner) => self.value(*inner),
        };
        if node.is_array {
            return node.entries.iter().map(|(_, entry)| value(entry)).collect();
        }
        let mut map = Map::new();
        for (name, entry) in &node.entries {
            assert!(map.insert(name.clone(), value(entry)).is_none(), "{name} is there twice");
        }
        map.into()
    }
}
