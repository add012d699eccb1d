//! A limiter for tests: its classes have a window and a size.
#![allow(missing_docs)]

use bytemuck::{Pod, Zeroable};

use super::classes::ClassId;
use super::parse;
use super::rules::{Field, Values};
use super::window::Counting;

/// Two values, of which the first is a window in ms.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Pair {
    pub window: u32,
    pub size: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Rule {
    pub values: Pair,
    pub counting: Counting,
}

impl Values for Pair {
    type Common = u32;
    type Rule = Rule;

    const FIELDS: &'static [Field<Self>] = &[
        Field { key: "window", parse: parse::duration, of: |pair| &mut pair.window },
        Field { key: "size", parse: |text| parse::within(text, 0, 9), of: |p| &mut p.size },
    ];
    const COMMON: u32 = 7;
    const COMPANY_SOURCES: Option<ClassId> = None;
    const UNKNOWN: Rule = Rule { values: Pair { window: 0, size: 0 }, counting: Counting::NONE };

    fn rule(self, previous: &Rule, tick: u32) -> Rule {
        Rule { values: self, counting: previous.counting.change(self.window, tick) }
    }
}
