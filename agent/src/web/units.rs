//! Units beside values, as the agreement's ranges name them. Power in milliwatts is told in dBm as well.

use std::sync::{Arc, Mutex, PoisonError};

use anchor::Hash;
use model::agreement::Range;
use model::{Agreement, Dn, Value};

/// Which unit an attribute's numbers have.
#[derive(Debug, Clone, Default)]
pub struct Units(Vec<Range>);

impl Units {
    pub fn of(agreement: Agreement) -> Units {
        Units(agreement.ranges.into_iter().filter(|range| !range.unit.is_empty()).collect())
    }

    /// What stands behind a value: `mW (52.6 dBm)`, `ms`; empty where no unit is agreed or the value is no number.
    pub fn beside(&self, object: &Dn, attribute: &str, value: &Value) -> String {
        let range = self
            .0
            .iter()
            .find(|range| range.scope.covers(object) && range.attribute.matches(object.class(), attribute));
        let (Some(range), Some(number)) = (range, value.as_text()) else { return String::new() };
        // For showing only: what is compared never passes through a float.
        let Ok(figure) = number.trim().parse::<f64>() else { return String::new() };
        match range.unit.as_str() {
            unit @ "mW" if figure > 0.0 => format!("{unit} ({:.1} dBm)", 10.0 * figure.log10()),
            unit => super::shown::visible(unit),
        }
    }
}

/// The units of the agreement in force, kept until another version is.
#[derive(Debug, Clone, Default)]
pub struct UnitsCache(Arc<Mutex<Option<Kept>>>);

/// An agreement's body and what it says of units.
type Kept = (Hash, Arc<Units>);

impl UnitsCache {
    pub fn get(&self, body: &Hash) -> Option<Arc<Units>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(hash, _)| hash == body).map(|(_, units)| Arc::clone(units))
    }

    pub fn put(&self, body: Hash, units: Arc<Units>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((body, units));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_told_in_both_units_and_words_have_none() {
        let text = include_str!("../../../examples/agreement.yaml");
        let units = Units::of(crate::config::parse_yaml(text, "agreement.yaml").unwrap());
        let element: Dn = "SubNetwork=bj-east,ManagedElement=gnb-0001".parse().unwrap();
        let carrier = element.child("GNBDUFunction", "1").child("NRSectorCarrier", "1");
        let beside = |value: &str| units.beside(&carrier, "configuredMaxTxPower", &value.into());
        assert_eq!(beside("200000"), "mW (53.0 dBm)");
        assert_eq!(beside("0"), "mW");
        assert_eq!(beside("full"), "");
        assert_eq!(units.beside(&carrier, "arfcnDL", &"633984".into()), "");
        let cell = element.child("GNBDUFunction", "1").child("NRCellDU", "1");
        assert_eq!(units.beside(&cell, "ssbPeriodicity", &"20".into()), "ms");
    }
}
