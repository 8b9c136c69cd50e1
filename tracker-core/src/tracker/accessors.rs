//! What is said once of the head of a task, and is there on all that have one.

/// Gives a type with a field `head` the accessors of [`TaskHead`](crate::TaskHead) that people ask it for.
macro_rules! head_accessors {
    (@ $type:ident $($name:ident -> $result:ty,)*) => {
        impl<T: StatusTracker> $type<T> {
            $(
                #[doc = concat!("See [`TaskHead::", stringify!($name), "`](crate::TaskHead::", stringify!($name), ").")]
                #[must_use]
                pub fn $name(&self) -> $result {
                    self.head().$name()
                }
            )*
        }
    };
    ($type:ident: $($head:tt)+) => {
        impl<T: StatusTracker> $type<T> {
            /// The tracker's own attributes, all of them.
            #[must_use]
            pub fn head(&self) -> &$crate::TaskHead {
                self.$($head)+
            }
        }
        $crate::tracker::accessors::head_accessors! { @ $type
            key -> &str,
            use_case_id -> &str,
            status_name -> &str,
            is_pending -> bool,
            is_in_progress -> bool,
            is_failed -> bool,
            is_succeeded -> bool,
            is_ignored -> bool,
            is_locked -> bool,
            shard_id -> Option<u32>,
            failed_attempts -> u32,
            attempt -> u64,
            owner -> Option<&str>,
            run_at -> Option<chrono::DateTime<chrono::Utc>>,
            errors -> &[$crate::HistoryEntry],
        }
    };
}

pub(crate) use head_accessors;
