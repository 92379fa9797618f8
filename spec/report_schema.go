package spec

import _ "embed"

//go:embed schema_report.json
var reportSchema string

// ReportSchema is the JSON schema (draft 2020-12) of [Report]. It describes
// exactly what this version writes: a property that it does not name is an error.
func ReportSchema() []byte { return []byte(reportSchema) }
