//! The sharing agreement as data (TS 32.130): who shares what, who may change and who must approve which
//! attribute, and the ranges all agreed on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::dn::{Dn, Scope};
use crate::number::Decimal;
use crate::pattern::AttributePattern;

/// A version of a sharing agreement. Its canonical JSON is hashed; the hash is on chain, the body is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// `ranproof/agreement/1`.
    pub format: String,
    pub id: String,
    pub version: u32,
    pub title: String,
    pub parties: Vec<Party>,
    /// Districts: which party is the master operator (MOP) where. First match wins.
    pub districts: Vec<District>,
    /// Whose part of a shared cell an object is (OperatorDU and what it contains). First match wins.
    #[serde(default)]
    pub ownership: Vec<Ownership>,
    /// Which PLMNs share which cells, in the order in which pLMNInfoList must hold them.
    pub sharing: Vec<Sharing>,
    /// Who may change and who must approve. First match wins; what no line covers is common: all operators approve.
    pub rights: Vec<Right>,
    /// Members who must at least approve every change request, whatever it touches.
    #[serde(default)]
    pub change_approvers: Vec<String>,
    /// Attributes whose commitments leave the operator.
    pub key_attributes: Vec<AttributePattern>,
    /// Whose agents are told the values that a master operator read. First match wins; what no line covers is told to
    /// every operator. The master operator itself has read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visibility: Vec<Visibility>,
    #[serde(default)]
    pub ranges: Vec<Range>,
    #[serde(default)]
    pub spectrum: Vec<Spectrum>,
    #[serde(default)]
    pub pci: Vec<PciPool>,
    #[serde(default)]
    pub tracking_areas: Vec<TrackingArea>,
    /// Permissions that need no request each time: SON ranges, energy-saving windows.
    #[serde(default)]
    pub standing: Vec<StandingPermission>,
    pub collection: Collection,
    /// 32 random bytes, hexadecimal: keys of the maps that the parties can all compute. Never on chain.
    pub map_secret: String,
}

/// A party of the agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The member id in genesis.
    pub id: String,
    pub name: String,
    pub kind: PartyKind,
    /// PLMN ids `mcc-mnc` as strings: `460-01` is not a number.
    #[serde(default)]
    pub plmns: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartyKind {
    Operator,
    Tower,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct District {
    pub scope: Scope,
    /// The party that builds, maintains and alone manages the stations here.
    pub master_operator: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ownership {
    pub scope: Scope,
    pub party: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sharing {
    pub scope: Scope,
    pub plmns: Vec<String>,
}

/// One line of the rights matrix: role × attribute × scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Right {
    pub attributes: Vec<AttributePattern>,
    #[serde(default)]
    pub scope: Scope,
    /// Who may propose and carry out a change.
    pub change: Vec<Actor>,
    /// Who must approve it; empty: nobody needs to be asked, whoever may change may do so by right.
    #[serde(default)]
    pub approve: Vec<Actor>,
}

/// One line of who sees what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visibility {
    pub attributes: Vec<AttributePattern>,
    #[serde(default)]
    pub scope: Scope,
    /// Who sees the values besides the master operator; empty: nobody.
    pub to: Vec<Actor>,
}

/// A party by its role towards an object, or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The master operator of the object's district.
    Mop,
    /// Every other operator.
    Pops,
    /// The party whose part of the cell the object is; the master operator if it is nobody's.
    Owner,
    /// Every operator.
    Operators,
    #[serde(untagged)]
    Party(String),
}

/// An agreed range of a numeric attribute, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub attribute: AttributePattern,
    #[serde(default)]
    pub scope: Scope,
    pub min: String,
    pub max: String,
    #[serde(default)]
    pub unit: String,
}

/// Licensed spectrum by NR-ARFCN (TS 38.104 §5.4.2.1), both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spectrum {
    pub party: String,
    #[serde(default)]
    pub scope: Scope,
    /// Lower edge of the licence in kHz.
    pub from_khz: u64,
    /// Upper edge of the licence in kHz.
    pub to_khz: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciPool {
    #[serde(default)]
    pub scope: Scope,
    pub from: u16,
    pub to: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackingArea {
    #[serde(default)]
    pub scope: Scope,
    /// The party whose plan this is.
    pub party: String,
    /// Tracking area codes as decimal text.
    pub codes: Vec<String>,
}

/// A change that needs no request as long as it stays within these bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingPermission {
    pub id: String,
    pub attributes: Vec<AttributePattern>,
    #[serde(default)]
    pub scope: Scope,
    /// Allowed numeric range of the new value, both ends included.
    #[serde(default)]
    pub min: Option<String>,
    #[serde(default)]
    pub max: Option<String>,
    /// Allowed new values, where they are not numbers.
    #[serde(default)]
    pub values: Vec<String>,
    /// At most so many changes of one attribute within 24 hours.
    pub changes_per_day: u32,
    /// Minutes of the day (UTC) between which the change may happen, end exclusive; may wrap around midnight.
    #[serde(default)]
    pub from_minute: Option<u16>,
    #[serde(default)]
    pub to_minute: Option<u16>,
}

/// Periods and deadlines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// Minutes between rounds.
    pub period_minutes: u32,
    /// Minutes from a round's opening to its attestation.
    pub attest_within_minutes: u32,
}

/// A fault in an agreement's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    #[error("agreement format is `{0}`; hint: this version reads {format}", format = Agreement::FORMAT)]
    UnknownFormat(String),
    #[error("{place} names `{party}`, which is not a party; hint: parties are {known}")]
    UnknownParty { place: String, party: String, known: String },
    #[error("party `{0}` is listed twice; hint: each party has an id of its own")]
    DuplicateParty(String),
    #[error("{place}: `{text}` is not a PLMN id; hint: mcc-mnc as a quoted string, such as \"460-01\"")]
    NotAPlmn { place: String, text: String },
    #[error("{place}: `{text}` is not a number; hint: digits in quotes, such as \"-12.5\"")]
    NotANumber { place: String, text: String },
    #[error("{place}: the lower end is above the upper end; hint: exchange them")]
    EmptyRange { place: String },
    #[error("map_secret is not 32 bytes of hexadecimal; hint: openssl rand -hex 32")]
    BadMapSecret,
    #[error("{place}: {why}")]
    Other { place: String, why: &'static str },
}

impl Agreement {
    pub const FORMAT: &'static str = "ranproof/agreement/1";

    pub fn party(&self, id: &str) -> Option<&Party> {
        self.parties.iter().find(|p| p.id == id)
    }

    pub fn operators(&self) -> impl Iterator<Item = &Party> {
        self.parties.iter().filter(|p| p.kind == PartyKind::Operator)
    }

    /// The master operator of an object's district.
    pub fn master_operator(&self, object: &Dn) -> Option<&str> {
        self.districts.iter().find(|d| d.scope.covers(object)).map(|d| d.master_operator.as_str())
    }

    /// The party whose part of a shared cell `object` is, `None` for what is common.
    pub fn owner(&self, object: &Dn) -> Option<&str> {
        self.ownership.iter().find(|o| o.scope.covers(object)).map(|o| o.party.as_str())
    }

    /// The line of the rights matrix that covers an attribute, `None` if none does (then it is common).
    pub fn right(&self, object: &Dn, attribute: &str) -> Option<&Right> {
        self.rights.iter().find(|right| {
            right.scope.covers(object)
                && right.attributes.iter().any(|p| p.matches(object.class(), attribute))
        })
    }

    /// Member ids of those who may change an attribute.
    pub fn may_change(&self, object: &Dn, attribute: &str) -> BTreeSet<String> {
        match self.right(object, attribute) {
            Some(right) => self.resolve(object, &right.change),
            None => self.resolve(object, &[Actor::Mop]),
        }
    }

    /// Member ids of those who must approve a change of an attribute.
    pub fn must_approve(&self, object: &Dn, attribute: &str) -> BTreeSet<String> {
        match self.right(object, attribute) {
            Some(right) => self.resolve(object, &right.approve),
            None => self.resolve(object, &[Actor::Operators]),
        }
    }

    /// Whether `member` is told an attribute's value. [`crate::OBJECT`], which holds all of an object's attributes, is
    /// covered by lines like any attribute: whoever is told it must also be told the attributes it holds, which is for
    /// the caller to see to.
    pub fn may_see(&self, object: &Dn, attribute: &str, member: &str) -> bool {
        if self.master_operator(object) == Some(member) {
            return true;
        }
        let line = self.visibility.iter().find(|line| {
            line.scope.covers(object) && line.attributes.iter().any(|p| p.matches(object.class(), attribute))
        });
        match line {
            Some(line) => self.resolve(object, &line.to).contains(member),
            None => self.operators().any(|party| party.id == member),
        }
    }

    fn resolve(&self, object: &Dn, actors: &[Actor]) -> BTreeSet<String> {
        let mop = self.master_operator(object);
        let mut out = BTreeSet::new();
        for actor in actors {
            match actor {
                Actor::Mop => out.extend(mop.map(str::to_owned)),
                Actor::Pops => {
                    out.extend(self.operators().filter(|p| Some(p.id.as_str()) != mop).map(|p| p.id.clone()));
                }
                Actor::Operators => out.extend(self.operators().map(|p| p.id.clone())),
                Actor::Owner => out.extend(self.owner(object).or(mop).map(str::to_owned)),
                Actor::Party(id) => {
                    out.insert(id.clone());
                }
            }
        }
        out
    }

    pub fn is_key_attribute(&self, class: &str, attribute: &str) -> bool {
        self.key_attributes.iter().any(|p| p.matches(class, attribute))
    }

    /// Checks what the types do not say: parties exist, PLMNs and numbers are well formed, ranges not empty.
    pub fn check(&self) -> Result<(), AgreementError> {
        if self.format != Self::FORMAT {
            return Err(AgreementError::UnknownFormat(self.format.clone()));
        }
        if hex::decode(&self.map_secret).map(|s| s.len()) != Ok(32) {
            return Err(AgreementError::BadMapSecret);
        }
        self.check_parties()?;
        self.check_visibility()?;
        self.check_numbers()
    }

    fn check_parties(&self) -> Result<(), AgreementError> {
        let mut seen = BTreeSet::new();
        for party in &self.parties {
            if !seen.insert(&party.id) {
                return Err(AgreementError::DuplicateParty(party.id.clone()));
            }
            check_plmns(&format!("party {}", party.id), &party.plmns)?;
        }
        if self.operators().count() < 2 {
            return Err(AgreementError::Other {
                place: "parties".into(),
                why: "a shared network needs at least two operators",
            });
        }
        for (index, sharing) in self.sharing.iter().enumerate() {
            check_plmns(&format!("sharing[{index}]"), &sharing.plmns)?;
        }
        for (place, party) in self.named_parties() {
            if self.party(&party).is_none() {
                let known = self.parties.iter().map(|p| p.id.as_str()).collect::<Vec<_>>().join(", ");
                return Err(AgreementError::UnknownParty { place, party, known });
            }
        }
        Ok(())
    }

    /// Every place that names a party, with the name.
    fn named_parties(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        out.extend(
            self.districts
                .iter()
                .enumerate()
                .map(|(i, d)| (format!("districts[{i}]"), d.master_operator.clone())),
        );
        out.extend(
            self.ownership.iter().enumerate().map(|(i, o)| (format!("ownership[{i}]"), o.party.clone())),
        );
        out.extend(
            self.spectrum.iter().enumerate().map(|(i, s)| (format!("spectrum[{i}]"), s.party.clone())),
        );
        out.extend(
            self.tracking_areas
                .iter()
                .enumerate()
                .map(|(i, t)| (format!("tracking_areas[{i}]"), t.party.clone())),
        );
        out.extend(self.change_approvers.iter().map(|id| ("change_approvers".to_owned(), id.clone())));
        for (i, line) in self.visibility.iter().enumerate() {
            for actor in &line.to {
                if let Actor::Party(id) = actor {
                    out.push((format!("visibility[{i}]"), id.clone()));
                }
            }
        }
        for (i, right) in self.rights.iter().enumerate() {
            for actor in right.change.iter().chain(&right.approve) {
                if let Actor::Party(id) = actor {
                    out.push((format!("rights[{i}]"), id.clone()));
                }
            }
        }
        out
    }

    fn check_visibility(&self) -> Result<(), AgreementError> {
        match self.visibility.iter().position(|line| line.attributes.is_empty()) {
            Some(index) => Err(AgreementError::Other {
                place: format!("visibility[{index}]"),
                why: "a line without attributes covers nothing",
            }),
            None => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), AgreementError> {
        for (index, range) in self.ranges.iter().enumerate() {
            check_range(&format!("ranges[{index}]"), Some(&range.min), Some(&range.max))?;
        }
        for (index, standing) in self.standing.iter().enumerate() {
            let place = format!("standing[{index}]");
            check_range(&place, standing.min.as_ref(), standing.max.as_ref())?;
            if standing.min.is_none() && standing.max.is_none() && standing.values.is_empty() {
                return Err(AgreementError::Other {
                    place,
                    why: "a standing permission needs a range or values",
                });
            }
            if standing.from_minute.is_some() != standing.to_minute.is_some() {
                return Err(AgreementError::Other { place, why: "from_minute and to_minute go together" });
            }
        }
        for (index, spectrum) in self.spectrum.iter().enumerate() {
            if spectrum.from_khz >= spectrum.to_khz {
                return Err(AgreementError::EmptyRange { place: format!("spectrum[{index}]") });
            }
        }
        for (index, pool) in self.pci.iter().enumerate() {
            if pool.from > pool.to || pool.to > 1007 {
                return Err(AgreementError::Other {
                    place: format!("pci[{index}]"),
                    why: "a PCI is 0 to 1007, from ≤ to",
                });
            }
        }
        Ok(())
    }
}

fn check_plmns(place: &str, plmns: &[String]) -> Result<(), AgreementError> {
    for text in plmns {
        let digits = |part: &str, lengths: &[usize]| {
            lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        let valid = text.split_once('-').is_some_and(|(mcc, mnc)| digits(mcc, &[3]) && digits(mnc, &[2, 3]));
        if !valid {
            return Err(AgreementError::NotAPlmn { place: place.to_owned(), text: text.clone() });
        }
    }
    Ok(())
}

fn check_range(place: &str, min: Option<&String>, max: Option<&String>) -> Result<(), AgreementError> {
    let number = |text: &String| {
        Decimal::parse(text)
            .ok_or_else(|| AgreementError::NotANumber { place: place.to_owned(), text: text.clone() })
    };
    let (min, max) = (min.map(number).transpose()?, max.map(number).transpose()?);
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(AgreementError::EmptyRange { place: place.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(visibility: serde_json::Value) -> Agreement {
        let text = serde_json::json!({
            "format": Agreement::FORMAT, "id": "a", "version": 1, "title": "",
            "parties": [
                { "id": "telecom", "name": "", "kind": "operator" },
                { "id": "unicom", "name": "", "kind": "operator" },
                { "id": "mobile", "name": "", "kind": "operator" },
                { "id": "tower", "name": "", "kind": "tower" },
            ],
            "districts": [{ "scope": "SubNetwork=east", "master_operator": "telecom" }],
            "ownership": [{ "scope": "SubNetwork=east,ManagedElement=*,OperatorDU=unicom", "party": "unicom" }],
            "sharing": [], "rights": [], "key_attributes": ["*.*"], "visibility": visibility,
            "collection": { "period_minutes": 1, "attest_within_minutes": 1 },
            "map_secret": "00".repeat(32),
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn values_are_told_to_every_operator_unless_a_line_says_otherwise() {
        let cell: Dn = "SubNetwork=east,ManagedElement=1,NRCellDU=1".parse().unwrap();
        let own: Dn =
            "SubNetwork=east,ManagedElement=1,OperatorDU=unicom,NROperatorCellDU=1".parse().unwrap();
        let open = agreement(serde_json::json!([]));
        assert!(open.may_see(&cell, "nRPCI", "unicom") && !open.may_see(&cell, "nRPCI", "tower"));
        let closed = agreement(serde_json::json!([
            { "attributes": ["NROperatorCellDU.*"], "to": ["owner"] },
            { "attributes": ["*.nRPCI"], "scope": "SubNetwork=east", "to": ["tower", "pops"] },
        ]));
        closed.check().unwrap();
        assert!(closed.may_see(&own, "x", "unicom") && !closed.may_see(&own, "x", "mobile"));
        assert!(closed.may_see(&own, "x", "telecom"), "the master operator has read it");
        assert!(closed.may_see(&cell, "nRPCI", "tower") && closed.may_see(&cell, "nRPCI", "mobile"));
        assert!(closed.may_see(&cell, "x", "mobile"), "no line covers it");
    }

    #[test]
    fn a_visibility_line_names_parties_and_attributes() {
        let stranger = agreement(serde_json::json!([{ "attributes": ["*.*"], "to": ["nobody"] }]));
        assert!(stranger.check().unwrap_err().to_string().contains("visibility[0] names `nobody`"));
        let empty = agreement(serde_json::json!([{ "attributes": [], "to": ["pops"] }]));
        assert!(empty.check().unwrap_err().to_string().contains("visibility[0]"));
    }

    #[test]
    fn an_agreement_without_visibility_lines_keeps_its_bytes() {
        let text = serde_json::to_string(&agreement(serde_json::json!([]))).unwrap();
        assert!(!text.contains("visibility"), "{text}");
    }
}
