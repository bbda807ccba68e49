//! The classes and attributes the simulated stations know.
//!
//! Names and structure follow TS 28.622 and TS 28.541; the namespaces are ours, since the standard's own
//! modules may not be redistributed. `tddPattern` and `prachRootSequenceIndex` are in no NR module of
//! TS 28.541 and stand in an overlay namespace, as vendors put them.

/// Namespace of `ManagedElement`.
pub const MANAGED_ELEMENT: &str = "urn:ranproof:nrm:managed-element";
/// Namespace of the NR classes.
pub const NR: &str = "urn:ranproof:nrm:nr";
/// Namespace of radio attributes outside TS 28.541.
pub const OVERLAY: &str = "urn:ranproof:nrm:radio";

/// The attribute that a station sets itself; it is no configuration.
pub const STATE: &str = "operationalState";

/// What an attribute may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, not empty.
    Text,
    /// A decimal integer in a range.
    Integer(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any number of texts, told apart by value (a leaf-list).
    Texts,
    /// A structure.
    Fields(&'static [Field]),
    /// An ordered list of structures, told apart by these fields.
    Entries(&'static [&'static str], &'static [Field]),
}

/// A named place for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Element name.
    pub name: &'static str,
    /// Namespace, that of the class without.
    pub namespace: Option<&'static str>,
    /// What it holds.
    pub kind: Kind,
}

/// A class of objects.
#[derive(Debug, PartialEq, Eq)]
pub struct Class {
    /// Element name.
    pub name: &'static str,
    /// Namespace of the class and of its attributes.
    pub namespace: &'static str,
    /// The class that contains it, none for the root.
    pub parent: Option<&'static str>,
    /// Its attributes.
    pub attributes: &'static [Field],
}

/// How siblings of one name are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// There is at most one.
    Single,
    /// By these child elements.
    Keys(&'static [&'static str]),
    /// By their text.
    Value,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, namespace: None, kind }
}

const fn overlay(name: &'static str, kind: Kind) -> Field {
    Field { name, namespace: Some(OVERLAY), kind }
}

const BOOLEAN: Kind = Kind::Word(&["true", "false"]);
const ADMINISTRATIVE: Kind = Kind::Word(&["LOCKED", "UNLOCKED", "SHUTTINGDOWN"]);
const OPERATIONAL: Kind = Kind::Word(&["ENABLED", "DISABLED"]);
const ARFCN: Kind = Kind::Integer(0, 3_279_165);
const BANDWIDTH: Kind = Kind::Integer(5, 400);
const TAC: Kind = Kind::Integer(0, 16_777_215);
const CELL: Kind = Kind::Integer(0, 16_383);
const GNB_ID: Kind = Kind::Integer(0, 4_294_967_295);
const GNB_ID_LENGTH: Kind = Kind::Integer(22, 32);

const PLMN_INFO: &[Field] = &[
    field("mcc", Kind::Text),
    field("mnc", Kind::Text),
    field("sst", Kind::Integer(0, 255)),
    field("sd", Kind::Text),
];
const PLMN_INFO_LIST: Field = field("pLMNInfoList", Kind::Entries(&["mcc", "mnc", "sst", "sd"], PLMN_INFO));

const TDD_PATTERN: &[Field] = &[
    overlay("dlULTransmissionPeriodicity", Kind::Word(&["ms2p5", "ms5", "ms10"])),
    overlay("nrofDownlinkSlots", Kind::Integer(0, 320)),
    overlay("nrofDownlinkSymbols", Kind::Integer(0, 13)),
    overlay("nrofUplinkSlots", Kind::Integer(0, 320)),
    overlay("nrofUplinkSymbols", Kind::Integer(0, 13)),
];

/// Every class, containers before what they contain.
pub const CLASSES: &[Class] = &[
    Class {
        name: "ManagedElement",
        namespace: MANAGED_ELEMENT,
        parent: None,
        attributes: &[
            field("dnPrefix", Kind::Text),
            field("managedElementTypeList", Kind::Texts),
            field("userLabel", Kind::Text),
            field("locationName", Kind::Text),
            field("vendorName", Kind::Text),
            field("swVersion", Kind::Text),
        ],
    },
    Class {
        name: "GNBDUFunction",
        namespace: NR,
        parent: Some("ManagedElement"),
        attributes: &[
            field("gNBId", GNB_ID),
            field("gNBIdLength", GNB_ID_LENGTH),
            field("gNBDUId", GNB_ID),
            field("gNBDUName", Kind::Text),
        ],
    },
    Class {
        name: "NRCellDU",
        namespace: NR,
        parent: Some("GNBDUFunction"),
        attributes: &[
            field("administrativeState", ADMINISTRATIVE),
            field(STATE, OPERATIONAL),
            field("cellLocalId", CELL),
            PLMN_INFO_LIST,
            field("nRPCI", Kind::Integer(0, 1007)),
            field("nRTAC", TAC),
            field("arfcnDL", ARFCN),
            field("arfcnUL", ARFCN),
            field("bSChannelBwDL", BANDWIDTH),
            field("bSChannelBwUL", BANDWIDTH),
            field("ssbFrequency", ARFCN),
            field("ssbPeriodicity", Kind::Word(&["5", "10", "20", "40", "80", "160"])),
            field("ssbSubCarrierSpacing", Kind::Word(&["15", "30", "120", "240"])),
            field("ssbOffset", Kind::Integer(0, 159)),
            field("ssbDuration", Kind::Integer(1, 5)),
            field("nRSectorCarrierRef", Kind::Text),
            overlay("prachRootSequenceIndex", Kind::Integer(0, 837)),
            overlay("tddPattern", Kind::Fields(TDD_PATTERN)),
        ],
    },
    Class {
        name: "NRSectorCarrier",
        namespace: NR,
        parent: Some("GNBDUFunction"),
        attributes: &[
            field("txDirection", Kind::Word(&["DL", "UL", "DL_AND_UL"])),
            // In milliwatts at the antenna port.
            field("configuredMaxTxPower", Kind::Integer(0, 10_000_000)),
            field("arfcnDL", ARFCN),
            field("arfcnUL", ARFCN),
            field("bSChannelBwDL", BANDWIDTH),
            field("bSChannelBwUL", BANDWIDTH),
        ],
    },
    Class {
        name: "OperatorDU",
        namespace: NR,
        parent: Some("GNBDUFunction"),
        attributes: &[
            field("userLabel", Kind::Text),
            field("gNBId", GNB_ID),
            field("gNBIdLength", GNB_ID_LENGTH),
        ],
    },
    Class {
        name: "NROperatorCellDU",
        namespace: NR,
        parent: Some("OperatorDU"),
        attributes: &[
            field("cellLocalId", CELL),
            field("administrativeState", ADMINISTRATIVE),
            field("nRTAC", TAC),
            PLMN_INFO_LIST,
        ],
    },
    Class {
        name: "GNBCUCPFunction",
        namespace: NR,
        parent: Some("ManagedElement"),
        attributes: &[
            field("gNBId", GNB_ID),
            field("gNBIdLength", GNB_ID_LENGTH),
            field("gNBCUName", Kind::Text),
        ],
    },
    Class {
        name: "NRCellCU",
        namespace: NR,
        parent: Some("GNBCUCPFunction"),
        attributes: &[field("cellLocalId", CELL), PLMN_INFO_LIST],
    },
    Class {
        name: "NRCellRelation",
        namespace: NR,
        parent: Some("NRCellCU"),
        attributes: &[
            field("nRTCI", Kind::Integer(0, 68_719_476_735)),
            field("adjacentNRCellRef", Kind::Text),
            field("isHOAllowed", BOOLEAN),
        ],
    },
];

/// The class of that name.
pub fn class(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name == name)
}

/// The attribute of a class.
pub fn attribute(class: &Class, name: &str) -> Option<&'static Field> {
    class.attributes.iter().find(|field| field.name == name)
}

/// How elements of that name are told apart. Names mean the same everywhere in this schema.
pub fn identity(name: &str) -> Identity {
    if class(name).is_some() {
        return Identity::Keys(&["id"]);
    }
    match CLASSES.iter().find_map(|class| attribute(class, name)).map(|field| field.kind) {
        Some(Kind::Entries(keys, _)) => Identity::Keys(keys),
        Some(Kind::Texts) => Identity::Value,
        _ => Identity::Single,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_hangs_below_another_and_keys_are_fields() {
        for class_ in CLASSES {
            assert!(class_.parent.is_none_or(|parent| class(parent).is_some()), "{}", class_.name);
            for field in class_.attributes {
                if let Kind::Entries(keys, fields) = field.kind {
                    assert!(keys.iter().all(|key| fields.iter().any(|f| f.name == *key)), "{}", field.name);
                }
            }
        }
    }

    #[test]
    fn identities_follow_the_schema() {
        assert_eq!(identity("NRCellDU"), Identity::Keys(&["id"]));
        assert_eq!(identity("pLMNInfoList"), Identity::Keys(&["mcc", "mnc", "sst", "sd"]));
        assert_eq!(identity("managedElementTypeList"), Identity::Value);
        assert_eq!(identity("nRPCI"), Identity::Single);
    }
}
