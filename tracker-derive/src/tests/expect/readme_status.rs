const _: () = {
    use ::tracker_core::__private;
    #[automatically_derived]
    impl __private::TrackerStatus for ExtractStatus {
        const ALL: &'static [Self] = &[
            Self::Pending,
            Self::InProgress,
            Self::Failed,
            Self::Succeeded,
            Self::Ignored,
        ];
        const __TABLE: &'static __private::StatusTable = &__private::StatusTable {
            type_name: "ExtractStatus",
            rows: &[
                __private::StatusRow {
                    code: 10,
                    name: "Pending",
                    role: __private::Role::Pending,
                    shards: 5,
                },
                __private::StatusRow {
                    code: 12,
                    name: "InProgress",
                    role: __private::Role::InProgress,
                    shards: 5,
                },
                __private::StatusRow {
                    code: 14,
                    name: "Failed",
                    role: __private::Role::Failed,
                    shards: 5,
                },
                __private::StatusRow {
                    code: 16,
                    name: "Succeeded",
                    role: __private::Role::Succeeded,
                    shards: 10,
                },
                __private::StatusRow {
                    code: 18,
                    name: "Ignored",
                    role: __private::Role::Ignored,
                    shards: 5,
                },
            ],
            code_pad: 3,
            shard_pad: 3,
        };
        fn code(self) -> u32 {
            self as u32
        }
    }
};
