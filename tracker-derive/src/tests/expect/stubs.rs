::core::compile_error! {
    "a status enum cannot be generic: remove the generic parameters"
}
::core::compile_error! {
    "a status enum cannot be generic: remove the `where` clause"
}
::core::compile_error! {
    "a status cannot have fields: write data into the tracker's struct"
}
::core::compile_error! {
    "no variant has the role `in_progress`, `failed`, `succeeded` or `ignored`: write `#[status(in_progress)]` on a variant"
}
const _: () = {
    use ::tracker_core::__private;
    #[automatically_derived]
    impl<T> __private::TrackerStatus for S<T>
    where
        T: Copy,
        Self: ::core::marker::Send + ::core::marker::Sync + 'static,
        Self: ::core::marker::Copy,
    {
        const ALL: &'static [Self] = &[];
        const __TABLE: &'static __private::StatusTable = &__private::StatusTable {
            type_name: "",
            rows: &[],
            code_pad: 3,
            shard_pad: 3,
        };
        fn code(self) -> u32 {
            0
        }
    }
};
::core::compile_error! {
    "a tracked struct cannot have lifetimes: write owned types, such as `String`"
}
::core::compile_error! {
    "a tracker needs a `use_case_id` and a `status`: write `#[tracker(use_case_id = \"extract\")]`"
}
const _: () = {
    use ::tracker_core::__private;
    use __private::NoTable as _;
    #[automatically_derived]
    impl<'a, T> __private::StatusTracker for D<'a, T>
    where
        Self: ::core::marker::Send + ::core::marker::Sync + 'static,
    {
        type Status = S;
        type TaskId = ::std::string::String;
        const __SPEC: __private::TrackerSpec = __private::spec(
            "",
            "",
            __private::TableOf::<S>::TABLE,
        );
        fn task_id(&self) -> &::std::string::String {
            loop {}
        }
        fn __fields(
            _: __private::Option<&Self>,
            _: &mut __private::Fields<'_>,
        ) -> __private::Option<Self> {
            __private::None
        }
    }
    #[automatically_derived]
    impl<'a, T> __private::HasTable for D<'a, T>
    where
        Self: ::core::marker::Send + ::core::marker::Sync + 'static,
    {}
};
::core::compile_error! {
    "a tracker needs a `use_case_id` and a `status`: write `#[tracker(status = ExtractStatus)]`"
}
const _: () = {
    use ::tracker_core::__private;
    use __private::NoTable as _;
    #[doc(hidden)]
    #[derive(::core::clone::Clone, ::core::marker::Copy)]
    pub struct __Status;
    #[automatically_derived]
    impl __private::TrackerStatus for __Status {
        const ALL: &'static [Self] = &[];
        const __TABLE: &'static __private::StatusTable = &__private::StatusTable {
            type_name: "",
            rows: &[],
            code_pad: 3,
            shard_pad: 3,
        };
        fn code(self) -> u32 {
            0
        }
    }
    #[automatically_derived]
    impl<T> __private::StatusTracker for D<T>
    where
        Self: ::core::marker::Send + ::core::marker::Sync + 'static,
        T: __private::TaskId,
    {
        type Status = __Status;
        type TaskId = T;
        const __SPEC: __private::TrackerSpec = __private::spec(
            "",
            "",
            __private::TableOf::<__Status>::TABLE,
        );
        fn task_id(&self) -> &T {
            loop {}
        }
        fn __fields(
            _: __private::Option<&Self>,
            _: &mut __private::Fields<'_>,
        ) -> __private::Option<Self> {
            __private::None
        }
    }
};
