//! Classes of sources: each has limits of its own.

/// `default` included.
pub const MAX_CLASSES: usize = 15;

/// In place of a class.
const EXEMPT: &str = "exempt";
const DEFAULT: &str = "default";

/// A class of sources: position in the list of classes; 0 is `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassId(pub u8);

impl ClassId {
    /// For sources in no other class.
    pub const DEFAULT: Self = ClassId(0);

    /// A class, or None (exempt), as a number.
    pub const fn to_number(class: Option<Self>) -> u8 {
        match class {
            None => 0,
            Some(ClassId(class)) => class.saturating_add(1),
        }
    }

    /// The reverse of [`ClassId::to_number`].
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => None,
            number => Some(ClassId(number - 1)),
        }
    }
}

/// Names of the operator's classes, in the order of their ids from 1 on. `default` always
/// exists.
#[derive(Clone, Debug, Default)]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    pub fn is_reserved(name: &str) -> bool {
        matches!(name, EXEMPT | DEFAULT)
    }

    pub fn add(&mut self, name: String) -> Result<(), String> {
        let refused = |what: &str| Err(format!("class {name} {what}"));
        if self.0.contains(&name) {
            return refused("stands twice");
        }
        if self.0.len() + 1 >= MAX_CLASSES {
            return refused("is one too many: 14 fit");
        }
        self.0.push(name);
        Ok(())
    }

    pub fn id(&self, name: &str) -> Option<ClassId> {
        self.ids().find(|id| self.name(Some(*id)) == name)
    }

    /// Reads `exempt` (no class) or the name of a class; None if it is neither.
    pub fn parse(&self, text: &str) -> Option<Option<ClassId>> {
        match text {
            EXEMPT => Some(None),
            name => self.id(name).map(Some),
        }
    }

    /// The name of a class; None is `exempt`.
    pub fn name(&self, class: Option<ClassId>) -> &str {
        match class {
            None => EXEMPT,
            Some(ClassId(0)) => DEFAULT,
            Some(ClassId(id)) => self.0.get(usize::from(id) - 1).map_or("", String::as_str),
        }
    }

    /// All classes, `default` first.
    pub fn ids(&self) -> impl Iterator<Item = ClassId> + use<> {
        (0..=self.0.len()).map(|id| ClassId(id as u8))
    }

    /// What [`ClassNames::parse`] reads, for messages.
    pub fn all(&self) -> String {
        let names = self.ids().map(|id| self.name(Some(id)));
        std::iter::once(EXEMPT).chain(names).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_its_name_and_its_number() {
        let mut names = ClassNames::default();
        for n in 1..MAX_CLASSES {
            names.add(format!("c{n}")).unwrap();
        }
        assert!(names.add("more".into()).unwrap_err().contains("class more is one too many"));
        assert!(names.add("c3".into()).unwrap_err().contains("class c3 stands twice"));
        assert_eq!(names.ids().count(), MAX_CLASSES);
        for class in names.ids().map(Some).chain([None]) {
            assert_eq!(names.parse(names.name(class)), Some(class));
            assert_eq!(ClassId::from_number(ClassId::to_number(class)), class);
        }
        assert_eq!((names.id("exempt"), names.parse("c15")), (None, None));
        assert_eq!(names.name(Some(ClassId(200))), "");
        assert!(names.all().starts_with("exempt, default, c1, "));
    }
}
