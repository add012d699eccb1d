//! What operators set for each class, and the rules that follow from it.
//!
//! A class inherits from `default` what is not set for it. [`Settings`] are what was
//! written; [`Rules`] are the same with all that is inherited and derived, as checks read
//! them.

use std::fmt::Debug;
use std::ops::Deref;

use bytemuck::{AnyBitPattern, Pod};

use super::classes::{ClassId, ClassNames, MAX_CLASSES};
use super::parse::{self, Parse};
use super::window::Counting;

/// The class takes the value of `default`.
const INHERIT: u32 = u32::MAX;

/// The values of one class of a limiter: numbers of which each may be inherited.
pub trait Values: Pod + Debug + PartialEq + Send {
    /// What is set for all classes together.
    type Common: Pod + Debug + PartialEq + Send;

    const FIELDS: &'static [Field<Self>];
    /// What is set for all classes, unless the operator says otherwise.
    const COMMON: Self::Common;
    /// The class of sources in ranges of companies, unless the operator says otherwise.
    const COMPANY_SOURCES: Option<ClassId>;
    /// Of a process that has not read the rules yet.
    const UNSET: Self;

    fn window_ms(&self) -> u32;

    /// These values, none of them inherited, with the bounds that one sets to another.
    fn bounded(self) -> Self {
        self
    }

    /// What of that decides the class of a source.
    fn class_basis(_common: &Self::Common) -> u32 {
        0
    }

    /// Whether what is set for all classes says that nothing is refused.
    fn are_monitored(_common: &Self::Common) -> bool {
        false
    }
}

/// One of the values of a class.
pub struct Field<V> {
    pub key: &'static str,
    pub parse: Parse,
    pub of: fn(&mut V) -> &mut u32,
}

/// The values of a class as checks read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<V> {
    values: V,
    pub counting: Counting,
}

impl<V> Deref for Rule<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        &self.values
    }
}

fn inherited<V: Values>() -> V {
    let mut values = V::zeroed();
    V::FIELDS.iter().for_each(|field| *(field.of)(&mut values) = INHERIT);
    values
}

/// `values`; those of `others` in place of what is inherited.
fn inherit<V: Values>(mut values: V, mut others: V) -> V {
    for field in V::FIELDS {
        let value = (field.of)(&mut values);
        if *value == INHERIT {
            *value = *(field.of)(&mut others);
        }
    }
    values
}

/// A class as the operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedClass<V> {
    pub name: String,
    values: V,
}

impl<V: Values> ParsedClass<V> {
    /// Reads `name=key:value;...`; keys that are missing are inherited.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut values = inherited::<V>();
        let name = parse::class(text, |key, value| {
            let Some(field) = V::FIELDS.iter().find(|field| field.key == key) else {
                let keys: Vec<_> = V::FIELDS.iter().map(|field| field.key).collect();
                return Err(format!(
                    "\"{}\" is not one of {}",
                    key.escape_debug(),
                    keys.join(", ")
                ));
            };
            let slot = (field.of)(&mut values);
            if *slot != INHERIT {
                return Err(format!("{key} stands twice"));
            }
            *slot = (field.parse)(value).map_err(|why| format!("{key} {why}"))?;
            Ok(())
        })?;
        Ok(ParsedClass { name, values })
    }
}

/// The settings of a limiter, plain numbers that can be in shared memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, AnyBitPattern)]
pub struct Settings<V>
where
    V: Values,
{
    /// 1: count and log, refuse nothing.
    pub monitor: u32,
    /// The [`ClassId::to_number`] of sources that companies with a filter list.
    pub company_sources: u32,
    /// Ms between two times that the clock shows: 0..=10.
    pub tick: u32,
    class_count: u32,
    /// What is set for all classes together.
    pub common: V::Common,
    /// The first one is `default` and inherits nothing.
    values: [V; MAX_CLASSES],
}

impl<V: Values> Settings<V> {
    /// Settings with the class `default` only.
    pub fn of_default(default: V) -> Self {
        let mut values = [inherited(); MAX_CLASSES];
        let [first, ..] = &mut values;
        *first = default;
        Settings {
            monitor: 0,
            company_sources: ClassId::to_number(V::COMPANY_SOURCES).into(),
            tick: 0,
            class_count: 1,
            common: V::COMMON,
            values,
        }
    }

    /// The values of the class `default`, which others inherit.
    pub fn default_mut(&mut self) -> &mut V {
        let [default, ..] = &mut self.values;
        default
    }

    /// Puts `class` at a position from 1 on; what it does not name stays as it is.
    /// False if there is no room.
    pub fn set_class(&mut self, position: usize, class: &ParsedClass<V>) -> bool {
        let Some(values) = self.values.get_mut(position).filter(|_| position > 0) else {
            return false;
        };
        *values = inherit(class.values, *values);
        self.class_count = self.class_count.max(position as u32 + 1);
        true
    }

    /// Adds the classes of `names`; one without values of its own is as `default`.
    pub fn add_classes(&mut self, names: &ClassNames) {
        self.class_count = names.ids().count() as u32;
    }

    /// The classes with what they inherit.
    fn classes(&self) -> impl Iterator<Item = V> {
        let [default, ..] = self.values;
        self.values.into_iter().take(self.class_count as usize).map(move |v| inherit(v, default))
    }
}

/// The rules of a limiter; each process keeps a copy.
#[repr(C)]
#[derive(Clone, Copy, Debug, AnyBitPattern)]
pub struct Rules<V>
where
    V: Values,
{
    /// Raised with every change.
    pub version: u64,
    /// 1: nothing is refused.
    pub monitor: u32,
    /// Raised when the settings may change the class of a source.
    pub sources_version: u32,
    company_sources: u32,
    /// What is set for all classes together.
    pub common: V::Common,
    values: [V; MAX_CLASSES],
    countings: [Counting; MAX_CLASSES],
}

impl<V: Values> Rules<V> {
    /// Of a process that has not read the rules yet.
    pub const NONE: Self = Rules {
        version: 0,
        monitor: 0,
        sources_version: 0,
        company_sources: ClassId::to_number(V::COMPANY_SOURCES) as u32,
        common: V::COMMON,
        values: [V::UNSET; MAX_CLASSES],
        countings: [Counting::NONE; MAX_CLASSES],
    };

    /// The rules of `settings`, which come after `previous`.
    pub fn new(settings: &Settings<V>, previous: &Self) -> Self {
        let same = settings.company_sources == previous.company_sources
            && V::class_basis(&settings.common) == V::class_basis(&previous.common);
        let mut rules = Rules {
            version: previous.version.wrapping_add(1),
            monitor: settings.monitor | u32::from(V::are_monitored(&settings.common)),
            sources_version: previous.sources_version.wrapping_add(u32::from(!same)),
            company_sources: settings.company_sources,
            common: settings.common,
            values: previous.values,
            countings: previous.countings,
        };
        let slots = rules.values.iter_mut().zip(&mut rules.countings);
        for ((slot, counting), values) in slots.zip(settings.classes()) {
            *slot = values.bounded();
            *counting = counting.change(values.window_ms(), settings.tick);
        }
        rules
    }

    /// The rule of a class; that of `default` for an exempt source.
    #[inline]
    pub fn class(&self, class: Option<ClassId>) -> Rule<V> {
        let ([values, ..], [counting, ..]) = (&self.values, &self.countings);
        let position = class.map_or(0, |ClassId(id)| usize::from(id));
        // One check for both.
        let position = if position < MAX_CLASSES { position } else { 0 };
        Rule {
            values: *self.values.get(position).unwrap_or(values),
            counting: *self.countings.get(position).unwrap_or(counting),
        }
    }

    /// The classes whose rules are not as in `before`.
    pub fn changed<'a>(
        &'a self,
        before: &'a Self,
        names: &'a ClassNames,
    ) -> impl Iterator<Item = (&'a str, Rule<V>)> {
        let classes = names.ids().map(Some);
        let changed = classes.filter(|class| self.class(*class) != before.class(*class));
        changed.map(|class| (names.name(class), self.class(class)))
    }

    /// The class of companies' ranges; None: exempt.
    pub fn company_sources(&self) -> Option<ClassId> {
        ClassId::from_number(self.company_sources as u8)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limiter::test_values::TestValues;

    fn class(text: &str) -> ParsedClass<TestValues> {
        ParsedClass::parse(text).unwrap()
    }

    #[test]
    fn a_class_overrides_what_it_names_and_inherits_the_rest() {
        let mut settings = Settings::of_default(TestValues { window: 2000, size: 5 });
        assert!(settings.set_class(1, &class(" carrier=size:1;")));
        let carrier = |settings: &Settings<TestValues>| settings.classes().nth(1);
        assert_eq!(carrier(&settings), Some(TestValues { window: 2000, size: 1 }));
        settings.default_mut().window = 900;
        assert_eq!(carrier(&settings), Some(TestValues { window: 900, size: 1 }));
        settings.set_class(1, &class("carrier=window:1"));
        assert_eq!(carrier(&settings), Some(TestValues { window: 1000, size: 1 }));
        let carrier = class("carrier=size:1");
        assert!(!settings.set_class(0, &carrier) && !settings.set_class(MAX_CLASSES, &carrier));
        assert!(settings.set_class(MAX_CLASSES - 1, &carrier));
        assert_eq!(settings.classes().count(), MAX_CLASSES);
    }

    #[test]
    fn what_is_wrong_with_a_value_is_named() {
        for (text, what) in [
            ("c=size:10", "class c: size \"10\" is not from 0 to 9"),
            ("c=size:1;size:1", "class c: size stands twice"),
            ("c=sise:1", "class c: \"sise\" is not one of window, size"),
        ] {
            assert_eq!(ParsedClass::<TestValues>::parse(text).unwrap_err(), what);
        }
    }

    #[test]
    fn classes_that_are_known_by_name_only_are_as_default() {
        let mut names = ClassNames::default();
        names.add("office".into()).unwrap();
        let mut settings = Settings::of_default(TestValues { window: 2000, size: 5 });
        settings.add_classes(&names);
        let rules = Rules::new(&settings, &Rules::NONE);
        let default = rules.class(Some(ClassId::DEFAULT));
        for class in [None, Some(ClassId(1)), Some(ClassId(200))] {
            assert_eq!(rules.class(class), default);
        }
        assert_eq!((rules.common, rules.monitor, rules.company_sources()), (7, 0, None));
    }

    #[test]
    fn versions_tell_what_has_changed() {
        let mut settings = Settings::of_default(TestValues { window: 2000, size: 5 });
        let first = Rules::new(&settings, &Rules::NONE);
        settings.default_mut().size = 6;
        let second = Rules::new(&settings, &first);
        settings.company_sources = ClassId::to_number(Some(ClassId::DEFAULT)).into();
        let third = Rules::new(&settings, &second);
        assert_eq!([first, second, third].map(|rules| rules.version), [1, 2, 3]);
        assert_eq!([first, second, third].map(|rules| rules.sources_version), [0, 0, 1]);
        assert_eq!(third.company_sources(), Some(ClassId::DEFAULT));
        let names = ClassNames::default();
        let changed = |before, rules: &Rules<TestValues>| {
            rules.changed(before, &names).map(|(name, rule)| (name.to_owned(), rule.size)).next()
        };
        assert_eq!(changed(&first, &second), Some(("default".into(), 6)));
        assert_eq!(changed(&second, &third), None);
        // Only another window begins the count anew.
        assert_eq!(first.class(None).counting, third.class(None).counting);
        settings.default_mut().window = 3000;
        let fourth = Rules::new(&settings, &third);
        assert_ne!(third.class(None).counting, fourth.class(None).counting);
    }

    type Written = (usize, Option<u32>, Option<u32>);

    fn writings() -> impl Strategy<Value = Vec<Written>> {
        let value = || prop::option::of(0u32..=9);
        prop::collection::vec((0usize..MAX_CLASSES, value(), value()), 0..60)
    }

    proptest! {
        /// Against a list of what was last written of each value.
        #[test]
        fn a_value_is_what_was_written_last_of_it_or_of_default(writings in writings()) {
            let mut settings = Settings::of_default(TestValues { window: 1000, size: 1 });
            let mut model = [[None; 2]; MAX_CLASSES];
            model[0] = [Some(1000), Some(1)];
            let mut rules = Rules::new(&settings, &Rules::NONE);
            for (position, window, size) in writings {
                let window = window.map(|n| (n + 1) * 1000);
                if position == 0 {
                    let default = settings.default_mut();
                    default.window = window.unwrap_or(default.window);
                    default.size = size.unwrap_or(default.size);
                } else {
                    let window = window.map_or(String::new(), |ms| format!("window:{ms}ms;"));
                    let size = size.map_or(String::new(), |n| format!("size:{n}"));
                    settings.set_class(position, &class(&format!("c={window}{size}")));
                }
                for (slot, new) in model[position].iter_mut().zip([window, size]) {
                    *slot = new.or(*slot);
                }
                rules = Rules::new(&settings, &rules);
            }
            for (n, written) in model.iter().enumerate() {
                let [window, size] = [0, 1].map(|at| written[at].or(model[0][at]));
                let rule = rules.class(Some(ClassId(n as u8)));
                // A class that does not exist yet has no rule of its own.
                let known = n < settings.class_count as usize;
                let expected = TestValues { window: window.unwrap(), size: size.unwrap() };
                prop_assert_eq!(rule.values, if known { expected } else { TestValues::UNSET });
            }
        }
    }
}
