#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "module.hpp"
#include "opspilot/base/signature.hpp"
#include "opspilot/decide/release.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

signing_key key_of(const py::bytes& secret) {
    const std::string bytes = secret;
    signing_key key;
    if (bytes.size() != key.seed.size())
        raise(error{error_kind::usage, "signature.bad_key",
                    "a signing key is 32 bytes, these are " + std::to_string(bytes.size()), "key",
                    "give the bytes that keygen wrote"});
    std::copy(bytes.begin(), bytes.end(), key.seed.begin());
    return key;
}

py::bytes sign_policy(const py::bytes& secret, std::int64_t sequence, const std::string& bundle,
                      const std::optional<std::vector<std::pair<std::string, std::string>>>& documents,
                      const std::vector<std::pair<std::string, std::optional<std::string>>>& overlays) {
    policy_release release{.sequence = sequence, .bundle = bundle, .documents = {}, .overlays = {}};
    if (documents) {
        release.documents.emplace();
        for (const auto& [name, content] : *documents) release.documents->push_back({name, content});
    }
    for (const auto& [client, content] : overlays) release.overlays.push_back({client, content});
    return py::bytes(release.sign(key_of(secret)));
}

}  // namespace

void bind_signing(py::module_& m) {
    m.def("make_signing_key", [] {
        const signing_key key = signing_key::make();
        return py::bytes(reinterpret_cast<const char*>(key.seed.data()), key.seed.size());
    });
    m.def("public_key", [](const py::bytes& secret) { return key_of(secret).public_half().hex(); });
    m.def("sign_policy", &sign_policy);
    m.def("sign_bundle", [](const py::bytes& secret, std::int64_t sequence, const std::string& fingerprint) {
        return py::bytes(bundle_release{.sequence = sequence, .fingerprint = fingerprint}.sign(key_of(secret)));
    });
}

}  // namespace opspilot::python
