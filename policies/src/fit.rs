//! How near an expected edit comes to an observed one, by values alone.

use model::change::ExpectedEdit;
use model::{Decimal, Edit, OBJECT, Value};

/// The values of an expected edit against those of a difference from approved to current.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Old and new are the same.
    Exact,
    /// The opposite direction: the roll-back of the expected edit.
    Inverse,
    /// The same new value, another old one.
    OtherOld,
    /// The same old value, and beyond the new one by this much.
    Beyond { by: String },
    /// The same old value, another new one.
    OtherNew,
    /// Neither is the same.
    Other,
}

impl Fit {
    pub fn of(expected: &ExpectedEdit, observed: &Edit, rollback: bool) -> Fit {
        let (old, new) = (expected.old == observed.old, expected.new == observed.new);
        match (old, new) {
            (true, true) => Fit::Exact,
            _ if rollback && expected.old == observed.new && expected.new == observed.old => Fit::Inverse,
            (false, true) => Fit::OtherOld,
            (true, false) => beyond(expected, observed).map_or(Fit::OtherNew, |by| Fit::Beyond { by }),
            (false, false) => Fit::Other,
        }
    }
}

/// Attributes whose numbers name something: a larger one is another one, not a further one.
const IDENTIFIERS: [&str; 9] =
    ["nRPCI", "nRTAC", "nRTCI", "cellLocalId", "gNBId", "gNBDUId", "gNBIdLength", "nCI", "id"];

fn beyond(expected: &ExpectedEdit, observed: &Edit) -> Option<String> {
    if observed.attribute == OBJECT || IDENTIFIERS.contains(&observed.attribute.as_str()) {
        return None;
    }
    let number = |value: &Option<Value>| Decimal::parse(value.as_ref()?.as_text()?);
    let (from, to, got) = (number(&expected.old)?, number(&expected.new)?, number(&observed.new)?);
    let further = if to > from { got > to } else { to < from && got < to };
    if further { got.distance(to).map(|by| by.to_string()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(attribute: &str, expected: (&str, &str), observed: (&str, &str)) -> Fit {
        let object: model::Dn = "A=1".parse().unwrap();
        let (old, new) = (Some(expected.0.into()), Some(expected.1.into()));
        let expected = ExpectedEdit { object: object.clone(), attribute: attribute.into(), old, new };
        let (old, new) = (Value::from(observed.0), Value::from(observed.1));
        let observed = Edit::between(&object, attribute, Some(&old), Some(&new)).unwrap();
        Fit::of(&expected, &observed, true)
    }

    #[test]
    fn further_in_the_direction_of_change_is_beyond() {
        let by = |by: &str| Fit::Beyond { by: by.into() };
        assert_eq!(fit("power", ("15", "20"), ("15", "23")), by("3"));
        assert_eq!(fit("power", ("15", "10"), ("15", "9.5")), by("0.5"));
        assert_eq!(fit("power", ("15", "20"), ("15", "18")), Fit::OtherNew);
        assert_eq!(fit("power", ("15", "20"), ("15", "10")), Fit::OtherNew);
        assert_eq!(fit("nRPCI", ("15", "20"), ("15", "23")), Fit::OtherNew);
        assert_eq!(fit("state", ("a", "b"), ("a", "c")), Fit::OtherNew);
    }

    #[test]
    fn the_other_fits() {
        assert_eq!(fit("p", ("1", "2"), ("1", "2")), Fit::Exact);
        assert_eq!(fit("p", ("1", "2"), ("2", "1")), Fit::Inverse);
        assert_eq!(fit("p", ("1", "2"), ("3", "2")), Fit::OtherOld);
        assert_eq!(fit("p", ("1", "2"), ("3", "4")), Fit::Other);
    }
}
