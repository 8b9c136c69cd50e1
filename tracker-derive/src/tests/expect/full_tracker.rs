const _: () = {
    use crate::tracking::__private;
    use __private::NoTable as _;
    const __SPEC: __private::TrackerSpec = __private::TrackerSpec {
        table: __private::Some("doc.uments_2-x"),
        sep: "::",
        index: "by-status",
        max_retry: 5,
        lock_expire_seconds: 60,
        backoff: __private::BackoffShape::Exponential,
        backoff_base_seconds: 10,
        backoff_max_seconds: 600,
        max_snoozes: 7,
        retain_seconds: __private::Some(604800),
        retain_ignored_seconds: __private::Some(2592000),
        traceback_stack_limit: 20,
        history_limit: 4,
        takeover: __private::Takeover::Never,
        wire: __private::Wire::Pynamodb,
        more_pending: &[
            __private::more_pending(&A::One, A::One as u32),
            __private::more_pending(&b::B::Two, b::B::Two as u32),
        ],
        task_id: "fn",
        fields: &[
            __private::FieldSpec {
                name: "kind",
                stored: "kind!",
                attribute: true,
            },
            __private::FieldSpec {
                name: "type",
                stored: "type",
                attribute: true,
            },
            __private::FieldSpec {
                name: "state",
                stored: "status",
                attribute: false,
            },
            __private::FieldSpec {
                name: "words",
                stored: "words",
                attribute: false,
            },
        ],
        after: __private::Some(__private::after::<steps::Extract<String>>()),
        ..__private::spec(
            "Summary",
            "summarise",
            __private::TableOf::<crate::status::SummaryStatus>::TABLE,
        )
    };
    const _: () = __private::check_more_pending(&__SPEC, 0);
    const _: () = __private::check_more_pending(&__SPEC, 1);
    const _: () = __private::check_after(&__SPEC);
    #[automatically_derived]
    impl<Id, T: Clone, U, const N: usize> __private::StatusTracker
    for Summary<Id, T, U, N>
    where
        U: Default,
        Id: __private::TaskId,
        T: __private::Member,
    {
        type Status = crate::status::SummaryStatus;
        type TaskId = Id;
        const __SPEC: __private::TrackerSpec = __SPEC;
        fn task_id(&self) -> &Id {
            &self.r#fn
        }
        fn __fields(
            __from: __private::Option<&Self>,
            __fields: &mut __private::Fields<'_>,
        ) -> __private::Option<Self> {
            let __id = __fields.task_id::<Self>(__from.map(|__from| &__from.r#fn));
            let __0 = __fields
                .attribute_or_default::<
                    Option<[T; N]>,
                >("kind!", __from.map(|__from| &__from.kind));
            let __1 = __fields
                .attribute::<String>("type", __from.map(|__from| &__from.r#type));
            let __2 = __fields
                .member::<other::U>("status", __from.map(|__from| &__from.state));
            let __3 = __fields
                .member_or_default::<
                    Vec<u32>,
                >("words", __from.map(|__from| &__from.words));
            let __4 = __fields.skip::<U>();
            __private::Some(Self {
                r#fn: __id?,
                kind: __0?,
                r#type: __1?,
                state: __2?,
                words: __3?,
                cache: __4?,
            })
        }
    }
    #[automatically_derived]
    impl<Id, T: Clone, U, const N: usize> __private::HasTable for Summary<Id, T, U, N>
    where
        U: Default,
        Id: __private::TaskId,
        T: __private::Member,
    {}
};
