//! The table of classes.

use super::{Class, EUTRA, Field, Kind, MANAGED_ELEMENT, NR, OVERLAY, STATE};

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

const EARFCN: Kind = Kind::Integer(0, 262_143);
const ENB_ID: Kind = Kind::Integer(0, 1_048_575);

const PLMN_ID: &[Field] = &[field("mcc", Kind::Text), field("mnc", Kind::Text)];

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

const CLOCK: Kind = Kind::Word(&["GNSS", "PTP", "SYNCE", "FREERUNNING"]);

const SYNCHRONISATION: &[Field] = &[
    overlay("sourcePriority", Kind::Texts),
    overlay("fallback", CLOCK),
    overlay("ptpDomain", Kind::Integer(24, 43)),
    // Minutes, or `unlimited`.
    overlay("holdover", Kind::Text),
];

/// In tenths of a degree.
const TILT: Kind = Kind::Integer(-900, 900);

const ANTENNA_FIELDS: &[Field] = &[
    overlay("kind", Kind::Text),
    overlay("azimuth", Kind::Integer(0, 3599)),
    overlay("electricalTilt", TILT),
    overlay("mechanicalTilt", TILT),
    // Metres with one decimal place.
    overlay("height", Kind::Text),
];
const ANTENNA: Field = overlay("antenna", Kind::Fields(ANTENNA_FIELDS));

const CELL_LOCAL_ID: Field = field("cellLocalId", Kind::Integer(0, 255));
const PCI: Field = field("pci", Kind::Integer(0, 503));
const EUTRA_TAC: Field = field("tac", Kind::Integer(0, 65_535));
const PLMN_ID_LIST: Field = field("plmnIdList", Kind::Entries(&["mcc", "mnc"], PLMN_ID));

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
            overlay("synchronisation", Kind::Fields(SYNCHRONISATION)),
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
            ANTENNA,
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
    Class {
        name: "NRFrequency",
        namespace: NR,
        parent: Some("GNBCUCPFunction"),
        attributes: &[
            field("absoluteFrequencySSB", ARFCN),
            field("sSBSubCarrierSpacing", Kind::Word(&["15", "30", "120", "240"])),
            field("multiFrequencyBandListNR", Kind::Texts),
        ],
    },
    Class {
        name: "ExternalGNBCUCPFunction",
        namespace: NR,
        parent: Some("GNBCUCPFunction"),
        attributes: &[
            field("gNBId", GNB_ID),
            field("gNBIdLength", GNB_ID_LENGTH),
            field("pLMNId", Kind::Fields(PLMN_ID)),
        ],
    },
    Class {
        name: "ExternalNRCellCU",
        namespace: NR,
        parent: Some("ExternalGNBCUCPFunction"),
        attributes: &[
            field("cellLocalId", CELL),
            field("nRPCI", Kind::Integer(0, 1007)),
            field("pLMNIdList", Kind::Entries(&["mcc", "mnc"], PLMN_ID)),
            field("nRFrequencyRef", Kind::Text),
        ],
    },
    Class {
        name: "ENBFunction",
        namespace: EUTRA,
        parent: Some("ManagedElement"),
        attributes: &[
            field("userLabel", Kind::Text),
            field("eNBId", ENB_ID),
            field("intraANRSwitch", BOOLEAN),
        ],
    },
    Class {
        name: "EUtranCellFDD",
        namespace: EUTRA,
        parent: Some("ENBFunction"),
        attributes: &[
            field("administrativeState", ADMINISTRATIVE),
            field(STATE, OPERATIONAL),
            CELL_LOCAL_ID,
            PCI,
            EUTRA_TAC,
            PLMN_ID_LIST,
            // In dBm.
            field("maximumTransmissionPower", Kind::Integer(0, 100)),
            field("referenceSignalPower", Kind::Integer(-60, 50)),
            field("earfcnDl", EARFCN),
            field("earfcnUl", EARFCN),
            ANTENNA,
        ],
    },
    Class {
        name: "EUtranRelation",
        namespace: EUTRA,
        parent: Some("EUtranCellFDD"),
        attributes: &[
            field("tCI", Kind::Integer(0, 268_435_455)),
            field("adjacentCell", Kind::Text),
            field("isHOAllowed", BOOLEAN),
            field("isLBAllowed", BOOLEAN),
        ],
    },
    Class {
        name: "ExternalENBFunction",
        namespace: EUTRA,
        parent: Some("ENBFunction"),
        attributes: &[field("eNBId", ENB_ID)],
    },
    Class {
        name: "ExternalEUtranCellFDD",
        namespace: EUTRA,
        parent: Some("ExternalENBFunction"),
        attributes: &[
            CELL_LOCAL_ID,
            PCI,
            EUTRA_TAC,
            PLMN_ID_LIST,
            field("earfcnDl", EARFCN),
            field("earfcnUl", EARFCN),
        ],
    },
];
