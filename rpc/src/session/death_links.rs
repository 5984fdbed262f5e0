//! Who wants to know whose death, and who may ask.
//!
//! OpenHarmony's constraint (IPC & RPC overview, "Constraints"): *subscription to death notifications of anonymous stub
//! objects (not registered with SAMgr) is prohibited in RPC*. Its code answers such a subscription with success and
//! registers nothing; here it is refused, with an error of its own.

use std::collections::HashMap;

use proto::frame::ObjectKind;

use super::{
    Scope,
    event::{ImportKey, LinkId},
    import_table::Import,
};
use crate::{error::LinkToDeathError, quotas::Quotas};

#[derive(Debug, Default)]
pub(super) struct DeathLinks {
    by_import: HashMap<ImportKey, Vec<LinkId>>,
    count: usize,
    last: u64,
}

impl DeathLinks {
    pub(super) fn link(
        &mut self,
        scope: Scope,
        key: ImportKey,
        import: &Import,
        quotas: &Quotas,
    ) -> Result<LinkId, LinkToDeathError> {
        if import.dead.is_some() {
            return Err(LinkToDeathError::DeadObject);
        }
        let remote = scope == Scope::OtherDevice || import.about.home.is_some();
        if remote && import.about.kind == ObjectKind::Anonymous {
            return Err(LinkToDeathError::AnonymousStub);
        }
        let of_object = self.by_import.get(&key).map_or(0, Vec::len);
        for (count, limit) in [
            (self.count, quotas.death_links),
            (of_object, quotas.death_links_per_object),
        ] {
            if count >= limit {
                let value = count + 1;
                return Err(LinkToDeathError::LimitReached { limit, value });
            }
        }
        self.last += 1;
        self.count += 1;
        let links = self.by_import.entry(key).or_default();
        links.push(LinkId(self.last));
        Ok(LinkId(self.last))
    }

    /// Whether there was such a link.
    pub(super) fn unlink(&mut self, key: ImportKey, link: LinkId) -> bool {
        let Some(links) = self.by_import.get_mut(&key) else {
            return false;
        };
        let Some(index) = links.iter().position(|known| *known == link) else {
            return false;
        };
        links.remove(index);
        if links.is_empty() {
            self.by_import.remove(&key);
        }
        self.count -= 1;
        true
    }

    /// Whom to tell of a death; nobody is told twice.
    pub(super) fn take(&mut self, key: ImportKey) -> Vec<LinkId> {
        let links = self.by_import.remove(&key).unwrap_or_default();
        self.count -= links.len();
        links
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }
}
