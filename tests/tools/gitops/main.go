// Command gitops tells what GitOps tools make of Kubernetes objects: kstatus, Argo CD and Flux, each by the library that
// the tool itself uses, or, for Argo CD, by its Lua interpreter set up as Argo CD does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `usage:
  gitops judge --lua FILE --flux FILE    reads a JSON array of objects on stdin, prints a JSON array of verdicts
  gitops health-tests DIR                runs the health_test.yaml files in DIR/<group>/<Kind>/
`

var errUsage = errors.New("wrong arguments")

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stderr, usage)
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "gitops: %v\n%s", err, usage)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "gitops: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command", errUsage)
	}
	command, args := args[0], args[1:]
	flags := flag.NewFlagSet("gitops "+command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	switch command {
	case "judge":
		script := flags.String("lua", "", "Argo CD's health.lua")
		kustomizations := flags.String("flux", "", "YAML with Flux's Kustomizations")
		if err := parse(flags, args, 0); err != nil {
			return err
		}
		if *script == "" || *kustomizations == "" {
			return fmt.Errorf("%w: judge needs --lua and --flux", errUsage)
		}
		return judge(*script, *kustomizations, in, out)
	case "health-tests":
		if err := parse(flags, args, 1); err != nil {
			return err
		}
		return healthTests(flags.Arg(0), out)
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	default:
		return fmt.Errorf("%w: no command is called %q", errUsage, command)
	}
}

func parse(flags *flag.FlagSet, args []string, positional int) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %v", errUsage, err)
	}
	if flags.NArg() != positional {
		return fmt.Errorf("%w: %s takes %d arguments besides its flags", errUsage, flags.Name(), positional)
	}
	return nil
}
