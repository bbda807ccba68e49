//! The classes and attributes that rules may name, with their types: those of TS 28.541 and TS 28.622 that
//! the shared network uses, and the radio overlay for what no NR module of 3GPP has.
//!
//! Numbers stay in the unit of the model (mW, MHz, 0.1°): integers are integers and nothing passes
//! through a float.

use std::collections::BTreeMap;
use std::fmt;

/// What an attribute or field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    /// An exact decimal number; it can be compared, not computed with.
    Decimal,
    Text,
    /// One of these words. Vendors add their own, so another word is read and merely equals none of these.
    Word(&'static [&'static str]),
    List(&'static Kind),
    Record(&'static Record),
}

/// A class of objects, or a structure inside an attribute.
#[derive(Debug)]
pub struct Record {
    pub name: &'static str,
    pub fields: &'static [(&'static str, Kind)],
    /// Another record whose fields this one has too.
    pub base: Option<&'static Record>,
}

impl PartialEq for Record {
    fn eq(&self, other: &Record) -> bool {
        self.name == other.name
    }
}

impl Eq for Record {}

impl Record {
    pub fn field(&self, name: &str) -> Option<&'static Kind> {
        let own = self.fields.iter().find(|(field, _)| *field == name).map(|(_, kind)| kind);
        own.or_else(|| self.base.and_then(|base| base.field(name)))
    }

    /// Place of a field among the record's own and then its base's.
    pub fn slot(&self, name: &str) -> usize {
        let own = self.fields.iter().position(|(field, _)| *field == name);
        own.unwrap_or_else(|| self.fields.len() + self.base.map_or(0, |base| base.slot(name)))
    }

    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.fields.iter().map(|(name, _)| *name).collect();
        names.extend(self.base.into_iter().flat_map(Record::names));
        names
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Bool => f.write_str("bool"),
            Kind::Int => f.write_str("int"),
            Kind::Decimal => f.write_str("decimal"),
            Kind::Text => f.write_str("string"),
            Kind::Word(words) => write!(f, "one of {}", words.join(", ")),
            Kind::List(kind) => write!(f, "list of {kind}"),
            Kind::Record(record) => f.write_str(record.name),
        }
    }
}

/// The class of that name.
pub fn class(name: &str) -> Option<&'static Record> {
    CLASSES.iter().copied().find(|class| class.name == name)
}

/// Names of all classes.
pub fn class_names() -> Vec<&'static str> {
    CLASSES.iter().map(|class| class.name).collect()
}

/// Every attribute name with its kind in some class, for hints.
pub(crate) fn attributes_anywhere() -> BTreeMap<&'static str, &'static str> {
    CLASSES.iter().flat_map(|class| class.fields.iter().map(|(name, _)| (*name, class.name))).collect()
}

const fn record(name: &'static str, fields: &'static [(&'static str, Kind)]) -> Record {
    Record { name, fields, base: None }
}

const INTS: Kind = Kind::List(&Kind::Int);
const TEXTS: Kind = Kind::List(&Kind::Text);
const ADMINISTRATIVE: Kind = Kind::Word(&["LOCKED", "UNLOCKED", "SHUTTINGDOWN"]);
const CELL_STATE: Kind = Kind::Word(&["IDLE", "INACTIVE", "ACTIVE"]);
const DIRECTION: Kind = Kind::Word(&["DL", "UL", "DL_AND_UL"]);

/// TS 28.541 PLMNInfo: mcc and mnc are texts, because `01` and `001` are different networks.
static PLMN_INFO: Record =
    record("PLMNInfo", &[("mcc", Kind::Text), ("mnc", Kind::Text), ("sst", Kind::Int), ("sd", Kind::Text)]);
static PLMN_ID: Record = record("PLMNId", &[("mcc", Kind::Text), ("mnc", Kind::Text)]);
const PLMN_INFO_LIST: Kind = Kind::List(&Kind::Record(&PLMN_INFO));
const PLMN_ID_LIST: Kind = Kind::List(&Kind::Record(&PLMN_ID));

static CELL_OFFSETS: Record = record(
    "cellIndividualOffset",
    &[
        ("rsrpOffsetSsb", Kind::Int),
        ("rsrqOffsetSsb", Kind::Int),
        ("sinrOffsetSsb", Kind::Int),
        ("rsrpOffsetCsiRs", Kind::Int),
        ("rsrqOffsetCsiRs", Kind::Int),
        ("sinrOffsetCsiRs", Kind::Int),
    ],
);

static TDD_PATTERN: Record = record(
    "tddPattern",
    &[
        ("dlULTransmissionPeriodicity", Kind::Text),
        ("nrofDownlinkSlots", Kind::Int),
        ("nrofDownlinkSymbols", Kind::Int),
        ("nrofUplinkSlots", Kind::Int),
        ("nrofUplinkSymbols", Kind::Int),
    ],
);

static POLICY_MEMBER: Record = record(
    "rRMPolicyMember",
    &[("mcc", Kind::Text), ("mnc", Kind::Text), ("sst", Kind::Int), ("sd", Kind::Text)],
);

/// The attributes of a shared cell, also those of a neighbour.
pub(crate) static NR_CELL_DU: Record = record(
    "NRCellDU",
    &[
        ("userLabel", Kind::Text),
        ("priorityLabel", Kind::Int),
        ("cellLocalId", Kind::Int),
        ("administrativeState", ADMINISTRATIVE),
        ("cellState", CELL_STATE),
        ("pLMNInfoList", PLMN_INFO_LIST),
        ("nRPCI", Kind::Int),
        ("nRTAC", Kind::Int),
        ("arfcnDL", Kind::Int),
        ("arfcnUL", Kind::Int),
        ("arfcnSUL", Kind::Int),
        // MHz
        ("bSChannelBwDL", Kind::Int),
        ("bSChannelBwUL", Kind::Int),
        ("bSChannelBwSUL", Kind::Int),
        ("ssbFrequency", Kind::Int),
        ("ssbPeriodicity", Kind::Int),
        ("ssbSubCarrierSpacing", Kind::Int),
        ("ssbOffset", Kind::Int),
        ("ssbDuration", Kind::Int),
        ("nRSectorCarrierRef", TEXTS),
        ("bWPRef", TEXTS),
        ("nRFrequencyRef", TEXTS),
        ("victimSetRef", Kind::Text),
        ("aggressorSetRef", Kind::Text),
        ("radio:prachRootSequenceIndex", Kind::Int),
        ("radio:tddPattern", Kind::Record(&TDD_PATTERN)),
    ],
);

/// Attributes of TS 28.541 (release 18 names, old spellings kept where stations still send them).
static CLASSES: [&Record; 18] = [
    &NR_CELL_DU,
    &record(
        "NRCellCU",
        &[
            ("userLabel", Kind::Text),
            ("cellLocalId", Kind::Int),
            ("pLMNInfoList", PLMN_INFO_LIST),
            ("nRFrequencyRef", Kind::Text),
        ],
    ),
    &record(
        "NRSectorCarrier",
        &[
            ("userLabel", Kind::Text),
            ("txDirection", DIRECTION),
            // mW
            ("configuredMaxTxPower", Kind::Int),
            ("configuredMaxTxEIRP", Kind::Int),
            ("arfcnDL", Kind::Int),
            ("arfcnUL", Kind::Int),
            ("bSChannelBwDL", Kind::Int),
            ("bSChannelBwUL", Kind::Int),
            ("sectorEquipmentFunctionRef", Kind::Text),
        ],
    ),
    &record(
        "NROperatorCellDU",
        &[
            ("userLabel", Kind::Text),
            ("cellLocalId", Kind::Int),
            ("administrativeState", ADMINISTRATIVE),
            ("pLMNInfoList", PLMN_INFO_LIST),
            ("nRTAC", Kind::Int),
            ("nRCellDURef", TEXTS),
        ],
    ),
    &record("OperatorDU", &[("userLabel", Kind::Text), ("gNBId", Kind::Int), ("gNBIdLength", Kind::Int)]),
    &record(
        "ManagedElement",
        &[
            ("dnPrefix", Kind::Text),
            ("userLabel", Kind::Text),
            ("locationName", Kind::Text),
            ("vendorName", Kind::Text),
            ("swVersion", Kind::Text),
            ("userDefinedState", Kind::Text),
            ("managedBy", TEXTS),
            ("managedElementTypeList", TEXTS),
            ("priorityLabel", Kind::Int),
        ],
    ),
    &record(
        "GNBDUFunction",
        &[
            ("userLabel", Kind::Text),
            ("gNBId", Kind::Int),
            ("gNBIdLength", Kind::Int),
            ("gNBDUId", Kind::Int),
            ("gNBDUName", Kind::Text),
        ],
    ),
    &record(
        "GNBCUCPFunction",
        &[
            ("userLabel", Kind::Text),
            ("gNBId", Kind::Int),
            ("gNBIdLength", Kind::Int),
            ("gNBCUName", Kind::Text),
            ("pLMNId", PLMN_ID_LIST),
            ("x2BlackList", TEXTS),
            ("x2WhiteList", TEXTS),
            ("xnBlackList", TEXTS),
            ("xnWhiteList", TEXTS),
            ("xnHOBlackList", TEXTS),
            ("x2HOBlackList", TEXTS),
            ("dCHOControl", Kind::Bool),
            ("dDAPSHOControl", Kind::Bool),
        ],
    ),
    &record(
        "GNBCUUPFunction",
        &[
            ("userLabel", Kind::Text),
            ("gNBId", Kind::Int),
            ("gNBIdLength", Kind::Int),
            ("gNBCUUPId", Kind::Int),
            ("pLMNInfoList", PLMN_INFO_LIST),
        ],
    ),
    &record(
        "NRCellRelation",
        &[
            ("nRTCI", Kind::Int),
            ("cellIndividualOffset", Kind::Record(&CELL_OFFSETS)),
            ("nRFreqRelationRef", Kind::Text),
            ("adjacentNRCellRef", Kind::Text),
            ("isRemoveAllowed", Kind::Bool),
            ("isHOAllowed", Kind::Bool),
            ("isESCoveredBy", Kind::Word(&["FULL", "NO", "PARTIAL"])),
        ],
    ),
    &record(
        "NRFreqRelation",
        &[
            ("blackListEntry", INTS),
            ("blackListEntryIdleMode", Kind::Int),
            ("cellReselectionPriority", Kind::Int),
            // A fraction by standard; exact all the same.
            ("cellReselectionSubPriority", Kind::Decimal),
            ("pMax", Kind::Int),
            ("qOffsetFreq", Kind::Decimal),
            ("qQualMin", Kind::Decimal),
            ("qRxLevMin", Kind::Int),
            ("threshXHighP", Kind::Int),
            ("threshXHighQ", Kind::Int),
            ("threshXLowP", Kind::Int),
            ("threshXLowQ", Kind::Int),
            ("tReselectionNR", Kind::Int),
            ("nRFrequencyRef", Kind::Text),
        ],
    ),
    &record(
        "NRFrequency",
        &[
            ("absoluteFrequencySSB", Kind::Int),
            ("sSBSubCarrierSpacing", Kind::Int),
            ("multiFrequencyBandListNR", INTS),
        ],
    ),
    &record(
        "ExternalGNBCUCPFunction",
        &[("gNBId", Kind::Int), ("gNBIdLength", Kind::Int), ("pLMNId", Kind::Record(&PLMN_ID))],
    ),
    &record(
        "ExternalNRCellCU",
        &[
            ("cellLocalId", Kind::Int),
            ("nRPCI", Kind::Int),
            ("pLMNIdList", PLMN_ID_LIST),
            ("nRFrequencyRef", Kind::Text),
        ],
    ),
    &record(
        "BWP",
        &[
            ("bwpContext", Kind::Word(&["DL", "UL", "SUL"])),
            ("isInitialBwp", Kind::Word(&["INITIAL", "OTHER", "SUL"])),
            ("subCarrierSpacing", Kind::Int),
            ("cyclicPrefix", Kind::Word(&["NORMAL", "EXTENDED"])),
            ("startRB", Kind::Int),
            ("numberOfRBs", Kind::Int),
        ],
    ),
    &record(
        "RRMPolicyRatio",
        &[
            ("resourceType", Kind::Text),
            ("rRMPolicyMemberList", Kind::List(&Kind::Record(&POLICY_MEMBER))),
            ("rRMPolicyMaxRatio", Kind::Int),
            ("rRMPolicyMinRatio", Kind::Int),
            ("rRMPolicyDedicatedRatio", Kind::Int),
        ],
    ),
    &record(
        "CommonBeamformingFunction",
        // Tenths of a degree
        &[("coverageShape", Kind::Int), ("digitalTilt", Kind::Int), ("digitalAzimuth", Kind::Int)],
    ),
    &record(
        "CESManagementFunction",
        &[
            ("cesSwitch", Kind::Bool),
            ("energySavingState", Kind::Word(&["IS_NOT_ENERGY_SAVING", "IS_ENERGY_SAVING"])),
            ("energySavingControl", Kind::Word(&["TO_BE_ENERGY_SAVING", "TO_BE_NOT_ENERGY_SAVING"])),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_their_attributes_are_named_once() {
        for (index, class) in CLASSES.iter().enumerate() {
            assert!(CLASSES[..index].iter().all(|other| other.name != class.name), "{}", class.name);
            for (place, (name, _)) in class.fields.iter().enumerate() {
                assert!(class.fields[..place].iter().all(|(other, _)| other != name), "{name}");
            }
        }
    }
}
