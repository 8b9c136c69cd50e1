const _: () = {
    use ::tracker_core::__private;
    use __private::NoTable as _;
    const __SPEC: __private::TrackerSpec = __private::TrackerSpec {
        table: __private::Some("documents"),
        max_retry: 3,
        more_pending: &[],
        task_id: "id",
        fields: &[
            __private::FieldSpec {
                name: "customer",
                stored: "customer",
                attribute: true,
            },
            __private::FieldSpec {
                name: "pages",
                stored: "pages",
                attribute: false,
            },
            __private::FieldSpec {
                name: "text_uri",
                stored: "text_uri",
                attribute: false,
            },
        ],
        ..__private::spec(
            "Document",
            "extract",
            __private::TableOf::<ExtractStatus>::TABLE,
        )
    };
    #[automatically_derived]
    impl __private::StatusTracker for Document {
        type Status = ExtractStatus;
        type TaskId = String;
        const __SPEC: __private::TrackerSpec = __SPEC;
        fn task_id(&self) -> &String {
            &self.id
        }
        fn __fields(
            __from: __private::Option<&Self>,
            __fields: &mut __private::Fields<'_>,
        ) -> __private::Option<Self> {
            let __id = __fields.task_id::<Self>(__from.map(|__from| &__from.id));
            let __0 = __fields
                .attribute::<String>("customer", __from.map(|__from| &__from.customer));
            let __1 = __fields
                .member::<u32>("pages", __from.map(|__from| &__from.pages));
            let __2 = __fields
                .member::<
                    Option<String>,
                >("text_uri", __from.map(|__from| &__from.text_uri));
            __private::Some(Self {
                id: __id?,
                customer: __0?,
                pages: __1?,
                text_uri: __2?,
            })
        }
    }
    #[automatically_derived]
    impl __private::HasTable for Document {}
};
