//! The accessors of a task's head, for every type that has a head.

/// Implements the most used accessors of [`TaskHead`](crate::TaskHead) for a type.
macro_rules! head_accessors {
    (@ $type:ident $($(#[$doc:meta])* $name:ident -> $result:ty,)*) => {
        impl<T: StatusTracker> $type<T> {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> $result {
                    self.head().$name()
                }
            )*
        }
    };
    ($type:ident: $($head:tt)+) => {
        impl<T: StatusTracker> $type<T> {
            /// Returns the task's metadata: all attributes of the tracker itself.
            #[must_use]
            pub fn head(&self) -> &$crate::item::head::TaskHead {
                self.$($head)+
            }
        }
        $crate::tracker::accessors::head_accessors! { @ $type
            /// Returns the attribute `key`: use case and task id.
            key -> &str,
            /// Returns the use case: the part of the key before the first separator.
            use_case_id -> &str,
            /// Returns the name of the status. It is `Type::Name` for another step, and the code for an unknown status.
            status_name -> &str,
            /// Returns the code of the status: the attribute `status`.
            status_code -> u32,
            /// Returns whether the task is pending or more pending in this step.
            is_pending -> bool,
            /// Returns whether the task is in progress, even if its lease has expired.
            is_in_progress -> bool,
            /// Returns whether the task is failed: an attempt failed, and the task can be retried.
            is_failed -> bool,
            /// Returns whether this step has succeeded, and no later step has started the task.
            is_succeeded -> bool,
            /// Returns whether the task is ignored: out of attempts, failed fatally, or cancelled.
            is_ignored -> bool,
            /// Returns whether a worker holds the lock, even if its lease has expired.
            is_locked -> bool,
            /// Returns the task's shard of the index, counted from 1, or `None` if the item does not show it.
            shard_id -> Option<u32>,
            /// Returns how many attempts have failed since the last success or redrive.
            #[doc(alias = "retry")]
            failed_attempts -> u32,
            /// Returns the number of attempts in all: the fencing token of the attempt that holds the lease.
            attempt -> u64,
            /// Returns the owner of the lease, or the last owner if the task is free.
            owner -> Option<&str>,
            /// Returns the earliest time at which the task can be started.
            run_at -> Option<chrono::DateTime<chrono::Utc>>,
            /// Returns the time at which the task was created.
            create_time -> chrono::DateTime<chrono::Utc>,
            /// Returns the time at which the status last changed or the task was last taken over.
            update_time -> chrono::DateTime<chrono::Utc>,
            /// Returns the time after which DynamoDB deletes the task, or `None` if no such time is set.
            expires_at -> Option<chrono::DateTime<chrono::Utc>>,
            /// Returns the failed attempts, oldest first.
            errors -> &[$crate::item::history::HistoryEntry],
        }
    };
}

pub(crate) use head_accessors;
