/* SPDX-License-Identifier: Apache-2.0 */
/* The half of spanwise_context that has to be C: keeps what the thread publishes equal to the span
 * in the OpenTelemetry context that is current in Python.
 *
 * That context is the value of one ContextVar. It changes in two ways: attach and detach, which
 * are ours (the runtime context of the SDK calls them), and a switch to another
 * contextvars.Context, which is how tasks of asyncio, callbacks and `asyncio.to_thread` take turns.
 * Python 3.14 tells us of switches; before that we stand in for Context.run, through which they all
 * go.
 *
 * Nothing here ever fails towards the application: where a span cannot be read, none is published.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "spanwise_context.h"

#define HAS_CONTEXT_WATCHERS (PY_VERSION_HEX >= 0x030E0000)

extern __thread void *otel_thread_ctx_v1;

/* Under the GIL. Owned; NULL until `watch`. */
static struct {
	PyObject *variable;         /* the ContextVar whose value is the OpenTelemetry context */
	PyObject *find_key;         /* called once, when the first context is looked at */
	PyObject *span_key;         /* under which a context keeps its span */
	PyObject *identify;         /* called with a span until it returns true */
	PyObject *get_span_context; /* its interned name */
	bool identified;            /* `identify` is satisfied */
	bool intercepts;            /* we hear of context switches */
} state;

struct span_ids {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint8_t trace_flags;
	bool present;
};

/* Fields of opentelemetry.trace.SpanContext, which is a tuple. */
enum { FIELD_TRACE_ID, FIELD_SPAN_ID, FIELD_IS_REMOTE, FIELD_TRACE_FLAGS, FIELD_COUNT };

static int to_big_endian(PyObject *number, uint8_t *out_bytes, size_t size)
{
	if (!PyLong_Check(number))
		return -1;
#if PY_VERSION_HEX >= 0x030D0000
	return PyLong_AsNativeBytes(number, out_bytes, (Py_ssize_t)size,
				    Py_ASNATIVEBYTES_BIG_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER |
					    Py_ASNATIVEBYTES_REJECT_NEGATIVE) >= 0
		       ? 0
		       : -1;
#else
	return _PyLong_AsByteArray((PyLongObject *)number, out_bytes, size, 0, 0);
#endif
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
	while (size > 0 && bytes[size - 1] == 0)
		size--;
	return size == 0;
}

/* A remote parent's span is current on the machine that sent it, not here. */
static void read_span_context(PyObject *context, struct span_ids *out_ids)
{
	long flags;

	if (!PyTuple_Check(context) || PyTuple_GET_SIZE(context) < FIELD_COUNT ||
	    PyTuple_GET_ITEM(context, FIELD_IS_REMOTE) == Py_True ||
	    to_big_endian(PyTuple_GET_ITEM(context, FIELD_TRACE_ID), out_ids->trace_id, 16) < 0 ||
	    to_big_endian(PyTuple_GET_ITEM(context, FIELD_SPAN_ID), out_ids->span_id, 8) < 0)
		return;
	flags = PyLong_AsLong(PyTuple_GET_ITEM(context, FIELD_TRACE_FLAGS));
	out_ids->trace_flags = (uint8_t)flags;
	out_ids->present = !all_zero(out_ids->trace_id, 16) && !all_zero(out_ids->span_id, 8);
}

static PyObject *span_of(PyObject *otel_context)
{
	if (!state.span_key && state.find_key)
		state.span_key = PyObject_CallNoArgs(state.find_key);
	if (!state.span_key || !PyDict_Check(otel_context))
		return NULL;
	return PyDict_GetItemWithError(otel_context, state.span_key);
}

static void identify(PyObject *span)
{
	PyObject *done = PyObject_CallOneArg(state.identify, span);

	state.identified = done == Py_True;
	Py_XDECREF(done);
}

/* The ids of the span in an OpenTelemetry context. Whatever goes wrong is swallowed; an exception
 * that was on its way before stays so. */
static struct span_ids ids_of(PyObject *otel_context)
{
	struct span_ids ids = { .present = false };
	PyObject *type, *value, *traceback, *span, *span_context;

	PyErr_Fetch(&type, &value, &traceback);
	span = span_of(otel_context);
	Py_XINCREF(span);
	span_context = span ? PyObject_CallMethodNoArgs(span, state.get_span_context) : NULL;
	if (span_context) {
		read_span_context(span_context, &ids);
		Py_DECREF(span_context);
		if (!state.identified && ids.present && state.identify)
			identify(span);
	}
	Py_XDECREF(span);
	PyErr_Restore(type, value, traceback);
	return ids;
}

static void publish(const struct span_ids *ids)
{
	spanwise_publish(ids->present ? ids->trace_id : NULL, ids->span_id, ids->trace_flags);
}

/* The ids of the context that is current now; none, too, before `watch`. */
static struct span_ids current_ids(void)
{
	struct span_ids ids = { .present = false };
	PyObject *otel_context = NULL;

	if (!state.variable)
		return ids;
	if (PyContextVar_Get(state.variable, NULL, &otel_context) < 0)
		PyErr_Clear();
	if (otel_context) {
		ids = ids_of(otel_context);
		Py_DECREF(otel_context);
	}
	return ids;
}

static void publish_current(void)
{
	struct span_ids ids = current_ids();

	publish(&ids);
}

/* ---- switches between contexts ---- */

/* Calls args[0] with the others, and shows the span of the current context for as long. */
static PyObject *call_shown(PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	struct span_ids ids = current_ids();
	struct spanwise_token outer;
	PyObject *result;

	spanwise_attach(ids.present ? ids.trace_id : NULL, ids.span_id, ids.trace_flags, &outer);
	result = PyObject_Vectorcall(args[0], args + 1, (size_t)(count - 1), keywords);
	spanwise_detach(&outer);
	return result;
}

#if HAS_CONTEXT_WATCHERS

static int on_context_event(PyContextEvent event, PyObject *context)
{
	(void)context;
	if (event == Py_CONTEXT_SWITCHED)
		publish_current();
	return 0;
}

static int intercept_switches(void)
{
	return PyContext_AddWatcher(on_context_event) < 0 ? -1 : 0;
}

#else

/* Does what Context.run does, and shows the span of the context for as long as it runs. */
static PyObject *context_run(PyObject *context, PyObject *const *args, Py_ssize_t count,
			     PyObject *keywords)
{
	PyObject *result;

	if (count < 1) {
		PyErr_SetString(PyExc_TypeError, "run() missing 1 required positional argument");
		return NULL;
	}
	if (PyContext_Enter(context) < 0)
		return NULL;
	result = call_shown(args, count, keywords);
	if (PyContext_Exit(context) < 0)
		Py_CLEAR(result);
	return result;
}

static PyMethodDef run_method = { "run", (PyCFunction)(void (*)(void))context_run,
				  METH_FASTCALL | METH_KEYWORDS,
				  "Runs a callable in this context, with its span published." };

/* Python code cannot replace a method of a built-in type; the type's dictionary can. */
static int intercept_switches(void)
{
	PyObject *run = PyDescr_NewMethod(&PyContext_Type, &run_method);
#if PY_VERSION_HEX >= 0x030C0000
	PyObject *members = PyType_GetDict(&PyContext_Type);
#else
	PyObject *members = PyContext_Type.tp_dict;

	Py_XINCREF(members);
#endif
	int rc = run && members ? PyDict_SetItemString(members, "run", run) : -1;

	Py_XDECREF(members);
	Py_XDECREF(run);
	PyType_Modified(&PyContext_Type);
	return rc;
}

#endif

/* ---- what Python sees ---- */

static PyObject *writer_watch(PyObject *module, PyObject *args)
{
	PyObject *variable, *find_key, *identify_with;

	(void)module;
	if (!PyArg_ParseTuple(args, "O!OO", &PyContextVar_Type, &variable, &find_key,
			      &identify_with))
		return NULL;
	if (!state.intercepts && intercept_switches() < 0)
		return NULL;
	state.intercepts = true;
	Py_INCREF(variable);
	Py_INCREF(find_key);
	Py_INCREF(identify_with);
	Py_XSETREF(state.variable, variable);
	Py_XSETREF(state.find_key, find_key);
	Py_XSETREF(state.identify, identify_with);
	Py_RETURN_NONE;
}

static PyObject *writer_attach(PyObject *module, PyObject *otel_context)
{
	PyObject *token = PyContextVar_Set(state.variable, otel_context);
	struct span_ids ids;

	(void)module;
	if (!token)
		return NULL;
	ids = ids_of(otel_context);
	publish(&ids);
	return token;
}

static PyObject *writer_detach(PyObject *module, PyObject *token)
{
	int rc = PyContextVar_Reset(state.variable, token);
	PyObject *type, *value, *traceback;

	(void)module;
	PyErr_Fetch(&type, &value, &traceback);
	publish_current();
	PyErr_Restore(type, value, traceback);
	if (rc < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* For who has entered a context without our notice. */
static PyObject *writer_shown(PyObject *module, PyObject *const *args, Py_ssize_t count,
			      PyObject *keywords)
{
	(void)module;
	if (count < 1) {
		PyErr_SetString(PyExc_TypeError, "a callable is missing");
		return NULL;
	}
	return call_shown(args, count, keywords);
}

/* What greenlet.settrace wants: this thread has come to another greenlet, and to its context. */
static PyObject *writer_switched(PyObject *module, PyObject *event_and_greenlets)
{
	PyObject *type, *value, *traceback;

	(void)module;
	(void)event_and_greenlets;
	PyErr_Fetch(&type, &value, &traceback);
	publish_current();
	PyErr_Restore(type, value, traceback);
	Py_RETURN_NONE;
}

static PyObject *writer_mark(PyObject *module, PyObject *span)
{
	struct span_ids ids = { .present = false };
	PyObject *type, *value, *traceback, *span_context;

	(void)module;
	PyErr_Fetch(&type, &value, &traceback);
	span_context = PyObject_CallMethodNoArgs(span, state.get_span_context);
	if (span_context) {
		read_span_context(span_context, &ids);
		Py_DECREF(span_context);
	}
	if (ids.present)
		spanwise_mark(ids.trace_id, ids.span_id);
	PyErr_Restore(type, value, traceback);
	Py_RETURN_NONE;
}

static PyObject *writer_publish_process(PyObject *module, PyObject *args)
{
	const char *service_name, *instance_id;
	int rc;

	(void)module;
	if (!PyArg_ParseTuple(args, "zz", &service_name, &instance_id))
		return NULL;
	rc = spanwise_process_init(service_name, instance_id);
	if (rc < 0) {
		errno = -rc;
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	Py_RETURN_NONE;
}

static PyObject *writer_exact_mode(PyObject *module, PyObject *none)
{
	int rc = spanwise_exact_mode();

	(void)module;
	(void)none;
	if (rc < 0) {
		errno = -rc;
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	Py_RETURN_NONE;
}

static PyObject *writer_instance_id(PyObject *module, PyObject *none)
{
	(void)module;
	(void)none;
	return PyUnicode_FromString(spanwise_instance_id());
}

static PyObject *writer_ask_identity_again(PyObject *module, PyObject *none)
{
	(void)module;
	(void)none;
	state.identified = false;
	Py_RETURN_NONE;
}

/* Goes the way of a reader: variable, record, `valid`. */
static PyObject *writer_published(PyObject *module, PyObject *none)
{
	const uint8_t *record = otel_thread_ctx_v1;

	(void)module;
	(void)none;
	if (!record || record[24] != 1)
		Py_RETURN_NONE;
	return Py_BuildValue("y#y#", record, (Py_ssize_t)16, record + 16, (Py_ssize_t)8);
}

static PyMethodDef methods[] = {
	{ "watch", writer_watch, METH_VARARGS,
	  "watch(variable, find_key, identify): publish the span in that ContextVar's value" },
	{ "attach", writer_attach, METH_O, "attach(otel_context) -> token" },
	{ "detach", writer_detach, METH_O, "detach(token)" },
	{ "shown", (PyCFunction)(void (*)(void))writer_shown, METH_FASTCALL | METH_KEYWORDS,
	  "shown(callable, *args): calls it, with the current context's span published" },
	{ "switched", writer_switched, METH_VARARGS,
	  "switched(*ignored): publishes the current context's span" },
	{ "mark", writer_mark, METH_O,
	  "mark(span): this thread begins it, or ends it, now; in exact mode" },
	{ "publish_process", writer_publish_process, METH_VARARGS,
	  "publish_process(service_name, instance_id); either may be None" },
	{ "exact_mode", writer_exact_mode, METH_NOARGS,
	  "logs each change of a thread's span from now on" },
	{ "instance_id", writer_instance_id, METH_NOARGS, "the instance id that is published" },
	{ "ask_identity_again", writer_ask_identity_again, METH_NOARGS,
	  "calls identify with the next spans" },
	{ "published", writer_published, METH_NOARGS,
	  "(trace_id, span_id) that this thread publishes, as bytes, or None" },
	{ NULL, NULL, 0, NULL },
};

static int execute(PyObject *module)
{
	(void)module;
	state.get_span_context = PyUnicode_InternFromString("get_span_context");
	return state.get_span_context ? 0 : -1;
}

static PyModuleDef_Slot slots[] = {
	{ Py_mod_exec, (void *)execute },
#ifdef Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED
	{ Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED },
#endif
	{ 0, NULL },
};

static PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "spanwise_context._writer",
	.m_doc = "Keeps otel_thread_ctx_v1 equal to the current OpenTelemetry span.",
	.m_methods = methods,
	.m_slots = slots,
};

PyMODINIT_FUNC PyInit__writer(void)
{
	return PyModuleDef_Init(&definition);
}
