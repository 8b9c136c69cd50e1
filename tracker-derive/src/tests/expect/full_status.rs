const _: () = {
    use crate::tracking::__private;
    #[automatically_derived]
    impl __private::TrackerStatus for r#match {
        const ALL: &'static [Self] = &[
            Self::A,
            Self::r#type,
            Self::C,
            Self::D,
            Self::E,
            Self::F,
            Self::G,
        ];
        const __TABLE: &'static __private::StatusTable = &__private::StatusTable {
            type_name: "match",
            rows: &[
                __private::StatusRow {
                    code: 16,
                    name: "extracted",
                    role: __private::Role::MorePending,
                    shards: 1,
                },
                __private::StatusRow {
                    code: 9999,
                    name: "type",
                    role: __private::Role::Pending,
                    shards: 99,
                },
                __private::StatusRow {
                    code: 0,
                    name: "C",
                    role: __private::Role::InProgress,
                    shards: 1,
                },
                __private::StatusRow {
                    code: 1,
                    name: "D",
                    role: __private::Role::Failed,
                    shards: 1,
                },
                __private::StatusRow {
                    code: 2,
                    name: "E",
                    role: __private::Role::Succeeded,
                    shards: 1,
                },
                __private::StatusRow {
                    code: 3,
                    name: "F",
                    role: __private::Role::Ignored,
                    shards: 1,
                },
                __private::StatusRow {
                    code: 4,
                    name: "G",
                    role: __private::Role::MorePending,
                    shards: 1,
                },
            ],
            code_pad: 4,
            shard_pad: 2,
        };
        fn code(self) -> u32 {
            self as u32
        }
    }
};
