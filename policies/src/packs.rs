//! The rules that ship with the product, compiled in so that a binary alone can write them out.

/// Name and text of each rule file of the pack `nr`, sorted by name; their test cases lie beside them in
/// `packs/nr/tests`.
pub const NR: &[(&str, &str)] = &[
    ("carrier-in-spectrum.yaml", include_str!("../packs/nr/carrier-in-spectrum.yaml")),
    ("cell-in-spectrum.yaml", include_str!("../packs/nr/cell-in-spectrum.yaml")),
    ("operator-cell-not-locked.yaml", include_str!("../packs/nr/operator-cell-not-locked.yaml")),
    ("operator-cell-plmns.yaml", include_str!("../packs/nr/operator-cell-plmns.yaml")),
    ("operator-tac-in-plan.yaml", include_str!("../packs/nr/operator-tac-in-plan.yaml")),
    ("pci-collision.yaml", include_str!("../packs/nr/pci-collision.yaml")),
    ("pci-confusion.yaml", include_str!("../packs/nr/pci-confusion.yaml")),
    ("pci-in-pool.yaml", include_str!("../packs/nr/pci-in-pool.yaml")),
    ("plmn-list-order-cu.yaml", include_str!("../packs/nr/plmn-list-order-cu.yaml")),
    ("plmn-list-order.yaml", include_str!("../packs/nr/plmn-list-order.yaml")),
    ("power-in-range.yaml", include_str!("../packs/nr/power-in-range.yaml")),
    ("tac-consistent.yaml", include_str!("../packs/nr/tac-consistent.yaml")),
    ("tac-in-plan.yaml", include_str!("../packs/nr/tac-in-plan.yaml")),
];

#[cfg(test)]
mod tests {
    use super::NR;

    #[test]
    fn every_rule_file_of_the_folder_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packs/nr");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        found.sort();
        assert_eq!(found, NR.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
