//! What the sections hand in, and the table and summary made of it.

use std::fs;

use serde_json::{Value, json};

use super::support::project;

/// A chart of one or more lines.
pub struct Chart {
    /// Name of its file, without `.svg`.
    pub file: &'static str,
    pub title: String,
    pub x: &'static str,
    pub y: &'static str,
    pub lines: Vec<Line>,
}

/// Points (x, y) with a name.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A table as it is printed.
pub struct Table {
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

/// The side of a target on which it is met.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A figure that there is a target for.
pub struct Figure {
    pub name: String,
    /// None: not measured.
    pub value: Option<f64>,
    pub unit: &'static str,
    pub bound: Bound,
    /// What else must be known to judge it.
    pub note: String,
}

impl Figure {
    pub fn met(&self) -> Option<bool> {
        self.value.map(|value| match self.bound {
            Bound::AtMost(limit) => value <= limit,
            Bound::AtLeast(limit) => value >= limit,
        })
    }

    pub fn target(&self) -> String {
        match self.bound {
            Bound::AtMost(limit) => format!("at most {}", number(limit)),
            Bound::AtLeast(limit) => format!("at least {}", number(limit)),
        }
    }
}

/// Other numbers for the summary: name, value, unit.
pub type Value3 = (String, f64, &'static str);

/// A part of the report.
#[derive(Default)]
pub struct Section {
    pub title: &'static str,
    /// How it was measured.
    pub text: String,
    pub tables: Vec<Table>,
    pub charts: Vec<Chart>,
    pub figures: Vec<Figure>,
    pub values: Vec<Value3>,
}

impl Section {
    pub fn new(title: &'static str, text: &str) -> Self {
        println!("\n# {title}");
        Section { title, text: text.into(), ..Section::default() }
    }

    pub fn value(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.values.push((name.into(), value, unit));
    }

    pub fn figure(&mut self, name: &str, value: Option<f64>, unit: &'static str, bound: Bound) {
        self.figures.push(Figure { name: name.into(), value, unit, bound, note: String::new() });
    }

    /// Says more of the last figure.
    pub fn note(&mut self, note: impl Into<String>) {
        if let Some(figure) = self.figures.last_mut() {
            figure.note = note.into();
        }
    }

    pub fn table(&mut self, head: &[&'static str], rows: Vec<Vec<String>>) {
        self.tables.push(Table { head: head.to_vec(), rows });
    }
}

/// A number with the digits that it deserves.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1e6 || value.fract() == 0.0 || magnitude >= 100.0 {
        let digits = format!("{value:.0}");
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => ("-", rest.to_owned()),
            None => ("", digits),
        };
        let mut grouped = String::new();
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The lines of a table, aligned, as Markdown.
pub fn markdown(table: &Table) -> String {
    let mut widths: Vec<usize> = table.head.iter().map(|h| h.chars().count()).collect();
    for row in &table.rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(c, w)| format!("{c:w$}", w = *w));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(table.head.iter().map(|&h| h.into()).collect());
    text.push_str(&line(widths.iter().map(|w| "-".repeat(*w)).collect()));
    for row in &table.rows {
        text.push_str(&line(row.clone()));
    }
    text
}

/// All figures with their targets.
pub fn targets(sections: &[Section]) -> Table {
    let rows = sections.iter().flat_map(|s| &s.figures).map(|figure| {
        let value = figure.value.map_or("not measured".into(), number);
        let met = match figure.met() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "-",
        };
        vec![
            figure.name.clone(),
            value,
            figure.unit.into(),
            figure.target(),
            met.into(),
            figure.note.clone(),
        ]
    });
    Table {
        head: vec!["figure", "measured", "unit", "target", "met", "note"],
        rows: rows.collect(),
    }
}

/// Writes `target/bench/summary.json`.
pub fn write_summary(sections: &[Section]) {
    let mut list: Vec<Value> = Vec::new();
    for section in sections {
        for figure in &section.figures {
            list.push(json!({
                "name": figure.name,
                "value": figure.value,
                "unit": figure.unit,
                "target": figure.target(),
                "met": figure.met(),
            }));
        }
    }
    for (name, value, unit) in sections.iter().flat_map(|s| &s.values) {
        list.push(json!({"name": name, "value": value, "unit": unit, "target": null, "met": null}));
    }
    let file = project().join("target/bench/summary.json");
    fs::write(file, serde_json::to_string_pretty(&list).unwrap()).unwrap();
}
