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
    #[automatically_derived]
    impl ::core::fmt::Display for ExtractStatus {
        fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            __f.pad(
                match self {
                    Self::Pending => "Pending",
                    Self::InProgress => "InProgress",
                    Self::Failed => "Failed",
                    Self::Succeeded => "Succeeded",
                    Self::Ignored => "Ignored",
                },
            )
        }
    }
    #[automatically_derived]
    impl ::core::str::FromStr for ExtractStatus {
        type Err = __private::UnknownStatus;
        fn from_str(__name: &str) -> __private::Result<Self, __private::UnknownStatus> {
            match __name {
                "Pending" => __private::Result::Ok(Self::Pending),
                "InProgress" => __private::Result::Ok(Self::InProgress),
                "Failed" => __private::Result::Ok(Self::Failed),
                "Succeeded" => __private::Result::Ok(Self::Succeeded),
                "Ignored" => __private::Result::Ok(Self::Ignored),
                _ => {
                    __private::Result::Err(
                        __private::unknown_status(
                            "ExtractStatus",
                            __name,
                            &["Pending", "InProgress", "Failed", "Succeeded", "Ignored"],
                        ),
                    )
                }
            }
        }
    }
};
