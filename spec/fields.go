package spec

import (
	"iter"
	"strings"
)

//go:generate go test -run TestFieldsDocument -update

// A Class says what pkshim does with a property of a spec.
type Class string

const (
	// Supported: the property works as OCI says.
	Supported Class = "supported"
	// Refused: a value that asks for something is a [Problem] wrapping [errors.ErrUnsupported].
	Refused Class = "refused"
	// Ignorable: OCI itself says that the value may or must be ignored.
	Ignorable Class = "ignorable"
)

// A Field is one property of runtime-spec and what becomes of it.
type Field struct {
	// Path is the property's path; [] stands for every item of an array and *
	// for every name of a map.
	Path  string `json:"path"`
	Class Class  `json:"class"`
	// Note is why a property is refused and what to do instead, why it may be
	// ignored, or what a supported one becomes.
	Note string `json:"note,omitempty"`
}

// Fields is every property of runtime-spec v1.3.0, of all platforms, in the
// order of the document. FIELDS.md is made from it.
func Fields() []Field {
	var all []Field
	for f := range rows() {
		all = append(all, f)
	}
	return all
}

// rows yields each row and then the rows below it.
func rows() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := range table {
			f := &table[i]
			if !yield(Field{f.path, f.class, f.note}) {
				return
			}
			for name := range strings.FieldsSeq(f.below) {
				path := f.path + "." + name
				if name[0] == '[' {
					path = f.path + name
				}
				if !yield(Field{path, f.class, "see " + f.path}) {
					return
				}
			}
		}
	}
}

// lookup is the row of a path, nil for what is below a row.
func lookup(path string) *row {
	for i := range table {
		if table[i].path == path {
			return &table[i]
		}
	}
	return nil
}

// A row classifies a property, and with it those below: paths relative to it,
// [] for its own items.
type row struct {
	path  string
	class Class
	note  string
	below string
}

// Why several properties are refused for the same reason.
const (
	noRootfs     = "the workload runs in the host's file system; a container with a root file system of its own needs crun or runc"
	noNamespaces = "the workload shares the host's namespaces; unshare(1) in process.args can give it its own"
	noSecurity   = "security labels and filters are not set up; refused so that the workload is not less confined than asked"
	onlyV1       = "cgroup v1 only; cgroup v2 has no such limit, leave it out"
	mappingBelow = "[].containerID [].hostID [].size"
	otherOS      = "of another platform than pkshim's; leave it out"
)

// table is ordered as runtime-spec's types are.
var table = []row{
	{path: "ociVersion", class: Supported, note: "checked: SemVer of major version 1; may be left out"},

	{path: "process", class: Supported},
	{path: "process.terminal", class: Refused, note: "stdin, stdout and stderr are the caller's own, a terminal stays one; leave it out"},
	{path: "process.consoleSize", class: Ignorable, note: `"Runtimes MUST ignore consoleSize if terminal is false or unset" (config.md), and true is refused`, below: "height width"},
	{path: "process.user", class: Supported, note: "left out, the workload keeps the caller's credentials"},
	{path: "process.user.uid", class: Supported, note: "below 2^31"},
	{path: "process.user.gid", class: Supported, note: "below 2^31"},
	{path: "process.user.umask", class: Supported, note: "left out, the caller's umask"},
	{path: "process.user.additionalGids", class: Supported, note: "below 2^31 each"},
	{path: "process.user.username", class: Refused, note: "Windows only; use uid and gid"},
	{path: "process.args", class: Supported, note: "args[0] is looked up in the PATH of process.env"},
	{path: "process.commandLine", class: Refused, note: "Windows only; use args"},
	{path: "process.env", class: Supported, note: "the whole environment; nothing is inherited"},
	{path: "process.cwd", class: Supported, note: "absolute; left out, the caller's directory"},
	{path: "process.capabilities", class: Supported, below: "bounding effective inheritable permitted ambient"},
	{path: "process.rlimits", class: Supported, note: "prlimit(2)", below: "[].type [].hard [].soft"},
	{path: "process.noNewPrivileges", class: Supported, note: "prctl(2), PR_SET_NO_NEW_PRIVS"},
	{path: "process.apparmorProfile", class: Refused, note: noSecurity},
	{path: "process.oomScoreAdj", class: Supported, note: "/proc/PID/oom_score_adj; left out, it is not changed"},
	{path: "process.scheduler", class: Supported, note: "sched_setattr(2)", below: "policy nice priority flags runtime deadline period"},
	{path: "process.selinuxLabel", class: Refused, note: noSecurity},
	{path: "process.ioPriority", class: Supported, note: "ioprio_set(2); the kernel ignores the priority of IOPRIO_CLASS_IDLE", below: "class priority"},
	{path: "process.execCPUAffinity", class: Supported, note: "of exec's process; \"not applicable to the container's init process\" (config.md)", below: "initial final"},

	{path: "root", class: Refused, note: noRootfs, below: "path readonly"},
	{path: "hostname", class: Refused, note: noNamespaces},
	{path: "domainname", class: Refused, note: noNamespaces},
	{path: "mounts", class: Refused, note: noRootfs, below: `[].destination [].type [].source [].options
		[].uidMappings [].uidMappings[].containerID [].uidMappings[].hostID [].uidMappings[].size
		[].gidMappings [].gidMappings[].containerID [].gidMappings[].hostID [].gidMappings[].size`},
	{path: "hooks", class: Refused, note: "hooks are not run; run the commands before or after pkshim", below: `
		prestart prestart[].path prestart[].args prestart[].env prestart[].timeout
		createRuntime createRuntime[].path createRuntime[].args createRuntime[].env createRuntime[].timeout
		createContainer createContainer[].path createContainer[].args createContainer[].env createContainer[].timeout
		startContainer startContainer[].path startContainer[].args startContainer[].env startContainer[].timeout
		poststart poststart[].path poststart[].args poststart[].env poststart[].timeout
		poststop poststop[].path poststop[].args poststop[].env poststop[].timeout`},
	{path: "annotations", class: Supported, note: "kept with the container and given back in its state"},

	{path: "linux", class: Supported},
	{path: "linux.uidMappings", class: Refused, note: noNamespaces, below: mappingBelow},
	{path: "linux.gidMappings", class: Refused, note: noNamespaces, below: mappingBelow},
	{path: "linux.sysctl", class: Refused, note: noNamespaces + "; a sysctl would change the host"},
	{path: "linux.resources", class: Supported, note: "needs a mechanism with limits: systemd or cgroupfs"},
	{path: "linux.resources.devices", class: Refused, note: "device access is not filtered; refused so that the workload is not less confined than asked", below: "[].allow [].type [].major [].minor [].access"},
	{path: "linux.resources.memory", class: Supported},
	{path: "linux.resources.memory.limit", class: Supported, note: "memory.max"},
	{path: "linux.resources.memory.reservation", class: Supported, note: "memory.low"},
	{path: "linux.resources.memory.swap", class: Supported, note: "memory and swap together; memory.swap.max is the difference to limit"},
	{path: "linux.resources.memory.kernel", class: Refused, note: onlyV1},
	{path: "linux.resources.memory.kernelTCP", class: Refused, note: onlyV1},
	{path: "linux.resources.memory.swappiness", class: Refused, note: onlyV1 + "; swap equal to limit forbids swapping"},
	{path: "linux.resources.memory.disableOOMKiller", class: Refused, note: onlyV1},
	{path: "linux.resources.memory.useHierarchy", class: Refused, note: "cgroup v2 is always hierarchical: true is accepted, false is refused"},
	{path: "linux.resources.memory.checkBeforeUpdate", class: Ignorable, note: `a new group uses no memory yet; on update "runtime MAY check" (config-linux.md)`},
	{path: "linux.resources.cpu", class: Supported},
	{path: "linux.resources.cpu.shares", class: Supported, note: "cpu.weight, by the logarithmic formula of runc and crun; 1024 is 100"},
	{path: "linux.resources.cpu.quota", class: Supported, note: "cpu.max"},
	{path: "linux.resources.cpu.burst", class: Supported, note: "cpu.max.burst"},
	{path: "linux.resources.cpu.period", class: Supported, note: "cpu.max"},
	{path: "linux.resources.cpu.realtimeRuntime", class: Refused, note: onlyV1},
	{path: "linux.resources.cpu.realtimePeriod", class: Refused, note: onlyV1},
	{path: "linux.resources.cpu.cpus", class: Supported, note: "cpuset.cpus"},
	{path: "linux.resources.cpu.mems", class: Supported, note: "cpuset.mems"},
	{path: "linux.resources.cpu.idle", class: Supported, note: "cpu.idle"},
	{path: "linux.resources.pids", class: Supported},
	{path: "linux.resources.pids.limit", class: Supported, note: "pids.max; 0 is a limit"},
	{path: "linux.resources.blockIO", class: Supported},
	{path: "linux.resources.blockIO.weight", class: Supported, note: "io.weight or io.bfq.weight"},
	{path: "linux.resources.blockIO.leafWeight", class: Refused, note: onlyV1},
	{path: "linux.resources.blockIO.weightDevice", class: Supported, note: "io.weight or io.bfq.weight", below: "[].major [].minor [].weight"},
	{path: "linux.resources.blockIO.weightDevice[].leafWeight", class: Refused, note: onlyV1},
	{path: "linux.resources.blockIO.throttleReadBpsDevice", class: Supported, note: "io.max, rbps", below: "[].major [].minor [].rate"},
	{path: "linux.resources.blockIO.throttleWriteBpsDevice", class: Supported, note: "io.max, wbps", below: "[].major [].minor [].rate"},
	{path: "linux.resources.blockIO.throttleReadIOPSDevice", class: Supported, note: "io.max, riops", below: "[].major [].minor [].rate"},
	{path: "linux.resources.blockIO.throttleWriteIOPSDevice", class: Supported, note: "io.max, wiops", below: "[].major [].minor [].rate"},
	{path: "linux.resources.hugepageLimits", class: Supported, note: "hugetlb.SIZE.max and hugetlb.SIZE.rsvd.max", below: "[].pageSize [].limit"},
	{path: "linux.resources.network", class: Refused, note: onlyV1, below: "classID priorities priorities[].name priorities[].priority"},
	{path: "linux.resources.rdma", class: Supported, note: "rdma.max", below: "*.hcaHandles *.hcaObjects"},
	{path: "linux.resources.unified", class: Supported, note: "written as given to the file of that name"},
	{path: "linux.cgroupsPath", class: Supported, note: "slice:prefix:name for systemd, otherwise a path below the cgroup mount"},
	{path: "linux.namespaces", class: Refused, note: noNamespaces, below: "[].type [].path"},
	{path: "linux.devices", class: Refused, note: noRootfs, below: "[].path [].type [].major [].minor [].fileMode [].uid [].gid"},
	{path: "linux.netDevices", class: Refused, note: noNamespaces, below: "*.name"},
	{path: "linux.seccomp", class: Refused, note: noSecurity, below: `defaultAction defaultErrnoRet architectures flags listenerPath
		listenerMetadata syscalls syscalls[].names syscalls[].action syscalls[].errnoRet syscalls[].args
		syscalls[].args[].index syscalls[].args[].value syscalls[].args[].valueTwo syscalls[].args[].op`},
	{path: "linux.rootfsPropagation", class: Refused, note: noRootfs},
	{path: "linux.maskedPaths", class: Refused, note: noRootfs},
	{path: "linux.readonlyPaths", class: Refused, note: noRootfs},
	{path: "linux.mountLabel", class: Refused, note: noSecurity},
	{path: "linux.intelRdt", class: Refused, note: "resctrl groups are not managed; leave it out", below: "closID schemata l3CacheSchema memBwSchema enableMonitoring"},
	{path: "linux.memoryPolicy", class: Refused, note: "set_mempolicy(2) is not called; cpu.mems binds to nodes", below: "mode nodes flags"},
	{path: "linux.personality", class: Refused, note: "personality(2) is not called; setarch(8) in process.args does it", below: "domain flags"},
	{path: "linux.timeOffsets", class: Refused, note: noNamespaces, below: "*.secs *.nanosecs"},

	{path: "solaris", class: Refused, note: otherOS, below: `milestone limitpriv maxShmMemory
		anet anet[].linkname anet[].lowerLink anet[].allowedAddress anet[].configureAllowedAddress
		anet[].defrouter anet[].linkProtection anet[].macAddress
		cappedCPU cappedCPU.ncpus cappedMemory cappedMemory.physical cappedMemory.swap`},
	{path: "windows", class: Refused, note: "Windows containers are not built; leave it out", below: `layerFolders devices devices[].id devices[].idType
		resources resources.memory resources.memory.limit
		resources.cpu resources.cpu.count resources.cpu.shares resources.cpu.maximum
		resources.cpu.affinity resources.cpu.affinity[].mask resources.cpu.affinity[].group
		resources.storage resources.storage.iops resources.storage.bps resources.storage.sandboxSize
		credentialSpec servicing ignoreFlushesDuringBoot hyperv hyperv.utilityVMPath
		network network.endpointList network.allowUnqualifiedDNSQuery network.DNSSearchList
		network.networkSharedContainerName network.networkNamespace`},
	{path: "vm", class: Refused, note: "virtual machines are not started; leave it out", below: `hypervisor hypervisor.path hypervisor.parameters
		kernel kernel.path kernel.parameters kernel.initrd image image.path image.format
		hwconfig hwconfig.deviceTree hwconfig.vcpus hwconfig.memory hwconfig.dtdevs
		hwconfig.iomems hwconfig.iomems[].firstGFN hwconfig.iomems[].firstMFN hwconfig.iomems[].nrMFNs hwconfig.irqs`},
	{path: "zos", class: Refused, note: otherOS, below: "namespaces namespaces[].type namespaces[].path"},
	{path: "freebsd", class: Refused, note: "jails are not built; leave it out", below: `devices devices[].path devices[].mode
		jail jail.parent jail.host jail.ip4 jail.ip4Addr jail.ip6 jail.ip6Addr jail.vnet jail.interface jail.vnetInterfaces
		jail.sysvmsg jail.sysvsem jail.sysvshm jail.enforceStatfs
		jail.allow jail.allow.setHostname jail.allow.rawSockets jail.allow.chflags jail.allow.mount jail.allow.quotas
		jail.allow.socketAf jail.allow.mlock jail.allow.reservedPorts jail.allow.suser`},
}
