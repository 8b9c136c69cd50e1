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
    #[automatically_derived]
    impl ::core::fmt::Display for r#match {
        fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            __f.pad(
                match self {
                    Self::A => "extracted",
                    Self::r#type => "type",
                    Self::C => "C",
                    Self::D => "D",
                    Self::E => "E",
                    Self::F => "F",
                    Self::G => "G",
                },
            )
        }
    }
    #[automatically_derived]
    impl ::core::str::FromStr for r#match {
        type Err = __private::UnknownStatus;
        fn from_str(__name: &str) -> __private::Result<Self, __private::UnknownStatus> {
            match __name {
                "extracted" => __private::Result::Ok(Self::A),
                "type" => __private::Result::Ok(Self::r#type),
                "C" => __private::Result::Ok(Self::C),
                "D" => __private::Result::Ok(Self::D),
                "E" => __private::Result::Ok(Self::E),
                "F" => __private::Result::Ok(Self::F),
                "G" => __private::Result::Ok(Self::G),
                _ => {
                    __private::Result::Err(
                        __private::unknown_status(
                            "match",
                            __name,
                            &["extracted", "type", "C", "D", "E", "F", "G"],
                        ),
                    )
                }
            }
        }
    }
};
