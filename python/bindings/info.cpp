#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "module.hpp"
#include "opspilot/base/config.hpp"
#include "opspilot/base/document.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/rank/kernels.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/tree_scorer.hpp"
#include "opspilot/rank/trees.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

std::vector<std::string> instruction_sets() {
    std::vector<std::string> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2")) found.emplace_back("sse4.2");
    if (__builtin_cpu_supports("avx2")) found.emplace_back("avx2");
    if (__builtin_cpu_supports("fma")) found.emplace_back("fma");
    if (__builtin_cpu_supports("avx512f")) found.emplace_back("avx512f");
    if (__builtin_cpu_supports("avx512bw")) found.emplace_back("avx512bw");
    if (__builtin_cpu_supports("avx512dq")) found.emplace_back("avx512dq");
    if (__builtin_cpu_supports("avx512vl")) found.emplace_back("avx512vl");
#elif defined(__aarch64__)
    found.emplace_back("neon");
#endif
    return found;
}

/// "fmt/9.1.0,simdjson/3.0.1": what the build found.
py::dict dependencies() {
    py::dict out;
    std::string_view rest = OPSPILOT_PYTHON_DEPENDENCIES;
    while (!rest.empty()) {
        const std::string_view entry = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
        const std::size_t slash = entry.find('/');
        if (slash == std::string_view::npos || slash + 1 == entry.size()) continue;
        out[py::str(std::string(entry.substr(0, slash)))] = std::string(entry.substr(slash + 1));
    }
    return out;
}

py::dict build_info() {
    py::dict out;
    out["version"] = OPSPILOT_PYTHON_VERSION;
#if defined(__clang__)
    out["compiler"] = "clang " __clang_version__;
#elif defined(__GNUC__)
    out["compiler"] = "gcc " __VERSION__;
#else
    out["compiler"] = "unknown";
#endif
    out["instruction_sets"] = instruction_sets();
    std::vector<std::string> kernels, engines;
    for (const linear_kernel* kernel : linear_kernels()) kernels.emplace_back(kernel->name);
    for (const std::string_view engine : tree_engines()) engines.emplace_back(engine);
    out["linear_kernels"] = kernels;
    out["tree_engines"] = engines;
    out["dependencies"] = dependencies();
    py::dict limits;
    const document_limits documents;
    const tree_limits trees;
    limits["text_bytes"] = text_limit;
    limits["rows_json_bytes"] = json_limit;
    limits["arrow_rows"] = arrow_row_limit;
    limits["document_bytes"] = documents.bytes;
    limits["document_depth"] = documents.depth;
    limits["model_bytes"] = trees.bytes;
    limits["trees"] = trees.trees;
    limits["tree_nodes"] = trees.nodes;
    limits["tree_depth"] = trees.depth;
    limits["features"] = trees.features;
    limits["outputs"] = trees.outputs;
    out["limits"] = limits;
    return out;
}

}  // namespace

void bind_info(py::module_& m) {
    m.def("build_info", &build_info, "Version, compiler, instruction sets and kernels of this machine, libraries, limits.");
}

}  // namespace opspilot::python
