//! The objects that the watches have delivered. The stores of the watches go in, objects come out. It needs no client.
//! The objects may be older than those of the API server.

use std::{collections::HashSet, sync::Arc};

use kube::runtime::reflector::{ObjectRef, Store};

use crate::{
    api::SalesforceBackup,
    kubernetes::key::{ObjectKey, SecretKey},
};

/// The objects of all watches.
#[derive(Clone, Default)]
pub struct Objects(Vec<Store<SalesforceBackup>>);

impl Objects {
    /// The objects in `stores`.
    #[must_use]
    pub const fn new(stores: Vec<Store<SalesforceBackup>>) -> Self {
        Self(stores)
    }

    /// True if the object `uid` exists under this name.
    #[must_use]
    pub fn has(&self, uid: &str, object: &ObjectKey) -> bool {
        let reference = ObjectRef::new(&object.name).within(&object.namespace);
        let found = self.0.iter().find_map(|store| store.get(&reference));
        found.is_some_and(|object| object.metadata.uid.as_deref() == Some(uid))
    }

    /// The Secrets to which objects refer.
    #[must_use]
    pub fn secrets(&self) -> HashSet<SecretKey> {
        let of = |object: &Arc<SalesforceBackup>| {
            let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
            SecretKey::new(namespace, &*object.spec.command_center.secret_ref.name)
        };
        self.all().iter().map(of).collect()
    }

    /// Every object.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<SalesforceBackup>> {
        self.0.iter().flat_map(Store::state).collect()
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}
