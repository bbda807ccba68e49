//! What somebody can do who holds the file and would rather another value had been read. The demo does it, to show how
//! others find out; nothing else calls this.

use model::Dn;

use crate::Store;
use crate::error::{Result, StoreError};

impl Store {
    /// Puts another value (canonical JSON) behind the standing commitment to an attribute. Salt and commitment stay:
    /// others hold the commitment already, and one that nobody holds would be found at once.
    pub async fn forge_opening(&self, object: &Dn, attribute: &str, value: &str) -> Result<()> {
        let update = "UPDATE openings SET value = ?1 WHERE until IS NULL AND attribute = ?3 AND value <> ?1 \
                      AND name IN (SELECT id FROM names WHERE dn = ?2)";
        let update = sqlx::query(update).bind(value.to_owned()).bind(object.to_string());
        let mut link = self.writer().await?;
        if link.execute(update.bind(attribute.to_owned())).await? == 0 {
            return Err(StoreError::missing("opening with another value", format!("{object} {attribute}")));
        }
        link.commit().await
    }
}
