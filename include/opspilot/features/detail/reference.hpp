/// \file
/// Internal: the feature document described from the tables that read it.
#pragma once

#include <fmt/format.h>

#include <string>

#include "opspilot/features/detail/document.hpp"

namespace opspilot::detail {

inline void describe_keys(std::string& out, std::span<const document_field> fields) {
    for (const document_field& f : fields) {
        out += fmt::format("- `{}`{}: {}", f.name, f.required ? "" : " (optional)", f.doc);
        if (!f.choices.empty()) out += fmt::format("; one of {}", fmt::join(f.choices, ", "));
        out += '\n';
    }
}

/// Markdown: every operation with its keys, then token parts and sources.
inline std::string feature_reference_text() {
    std::string out = "# features.json\n\nEvery transform has these keys and those of its operation.\n\n";
    describe_keys(out, common_fields);
    out += "\n## Operations\n";
    for (const feature_op_info& info : feature_ops) {
        out += fmt::format("\n### {}\n\n{}\n\n", info.name, info.doc);
        describe_keys(out, info.fields);
    }
    out +=
        "\n## Token parts\n\nA part is a field name or an object; a list of parts gives every combination of their tokens.\n\n";
    describe_keys(out, part_fields);
    out += "\n## Sources of text_hash\n\n";
    describe_keys(out, source_fields);
    return out;
}

/// JSON Schema (2020-12): one branch per operation.
inline json feature_schema_tree() {
    const json part = {{"anyOf", {{{"type", "string"}}, {{"$ref", "#/$defs/part"}}}}};
    const json tokens = {{"anyOf", {part, {{"type", "array"}, {"items", part}}}}};
    const auto definition = [&](std::span<const document_field> fields, std::string_view title) {
        json made = json_schema(fields, title);
        made.erase("$schema");
        if (json& properties = made["properties"]; properties.contains("tokens")) properties["tokens"].update(tokens);
        return made;
    };
    json branches = json::array();
    for (const feature_op_info& info : feature_ops) {
        json branch = definition(fields_of(info), info.name);
        json& properties = branch["properties"];
        properties["op"] = {{"const", info.name}};
        for (const char* key : {"key", "context", "a", "b"})
            if (properties.contains(key) && !properties[key].contains("type")) properties[key].update(tokens);
        if (info.op == feature_op::overlap)
            for (const char* key : {"a", "b"}) properties[key]["anyOf"].push_back({{"$ref", "#/$defs/token_set"}});
        if (properties.contains("sources")) properties["sources"]["items"] = {{"$ref", "#/$defs/source"}};
        branches.push_back(std::move(branch));
    }
    json root = json_schema(feature_root_fields, "features.json");
    root["properties"]["version"] = {{"const", 1}};
    root["properties"]["transforms"]["items"] = {{"oneOf", std::move(branches)}};
    root["$defs"] = {{"part", definition(part_fields, "part")},
                     {"source", definition(source_fields, "source")},
                     {"token_set", definition(token_set_fields, "token_set")}};
    return root;
}

}  // namespace opspilot::detail
